/* What the harnesses share: a report of majors, flags, mechanisms and kinds of token, with neither
 * addresses nor times in it, so that two runs can be compared line by line. */
#ifndef COMMON_H
#define COMMON_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#ifdef HEIMDAL
#include "heimdal.h"
#else
#include <gssapi/gssapi_ext.h>
#endif
#include <stdio.h>

/* Where the report goes; stdout unless set. */
extern FILE *report;

/* Options are arguments of the form name=value. */
void take_options(int argc, char **argv);
/* The value of an option, or `otherwise`. */
const char *option(const char *name, const char *otherwise);
/* The value of "role.name", else of "name", else `otherwise`. */
const char *role_option(const char *role, const char *name, const char *otherwise);
int listed(const char *list, const char *item);

void show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "label: GSS_S_...", and for an error "minor: ..." lines that a comparison leaves out. */
void show_status(const char *label, OM_uint32 major, OM_uint32 minor, gss_OID mech);
const char *major_text(OM_uint32 major);
const char *flags_text(OM_uint32 flags);
const char *time_text(OM_uint32 seconds);
const char *usage_text(gss_cred_usage_t usage);
const char *mech_text(gss_const_OID oid);
void show_mechs(const char *label, gss_OID_set mechs);
void show_name(const char *label, gss_name_t name);
/* What gss_inquire_cred tells, after its outcome. */
void show_cred(const char *label, gss_cred_id_t cred);
void show_token(const char *label, const gss_buffer_desc *token);
void show_plugin(void);
int plugin_is_loaded(void);

/* The OID of a mechanism or name type by its word, or in dotted form; NULL for "none". */
gss_OID mech_oid(const char *word);
gss_OID name_type(const char *word);
/* A set from words with commas between; NULL for "none". */
gss_OID_set mech_set(const char *words);
gss_name_t imported(const char *text, const char *type);
gss_buffer_desc text_buffer(const char *text);
int same_buffer(const gss_buffer_desc *a, const gss_buffer_desc *b);
OM_uint32 flag_bits(const char *words);
/* A credential store from "key:value;key:value" (the first colon of each divides). */
gss_key_value_set_desc *cred_store(const char *text);

/* Print why, and end the process with failure: the harness itself cannot go on. */
void stop(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Stop unless the call succeeded. */
void must(const char *what, OM_uint32 major, OM_uint32 minor);

/* The call first, then its minor: the order of a function's arguments is the compiler's choice. */
#define MUST(what, call)                      \
    do {                                      \
        OM_uint32 must_major = (call);        \
        must(what, must_major, minor);        \
    } while (0)
/* Make the call into `major` and show its outcome. */
#define SHOW(label, call)                                  \
    do {                                                   \
        major = (call);                                    \
        show_status(label, major, minor, GSS_C_NO_OID);    \
    } while (0)

#endif
