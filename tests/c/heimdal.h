/* What Heimdal 7 lacks of the interface that the harnesses are written for: answers that say so.
 * An order of mechanisms is set there by an option of the plugin's. */
#ifndef HEIMDAL_H
#define HEIMDAL_H

#include <krb5.h>
#include <string.h>

typedef struct {
    const char *key;
    const char *value;
} gss_key_value_element_desc;
typedef struct {
    OM_uint32 count;
    gss_key_value_element_desc *elements;
} gss_key_value_set_desc;

#define GSS_C_CHANNEL_BOUND_FLAG 2048
#define GSS_C_NT_COMPOSITE_EXPORT GSS_C_NO_OID
#define GSS_IOV_BUFFER_TYPE_MIC_TOKEN GSS_IOV_BUFFER_TYPE_EMPTY
#define GSS_C_SEC_CONTEXT_SASL_SSF mech_oid("unused")
#define krb5_flags OM_uint32
#define krb5_timestamp time_t

#define gss_acquire_cred_from(minor, name, time, mechs, usage, store, cred, actual, seconds) \
    ((void)(store), *(minor) = 0, GSS_S_UNAVAILABLE)
#define gss_get_mic_iov(minor, context, qop, iov, count) \
    ((void)(context), (void)(qop), (void)(iov), *(minor) = 0, GSS_S_UNAVAILABLE)
#define gss_get_mic_iov_length gss_get_mic_iov
#define gss_verify_mic_iov gss_get_mic_iov
#define gss_complete_auth_token(minor, context, message) \
    ((void)(message), *(minor) = 0, GSS_S_UNAVAILABLE)

/* Declared there, but not in the library. */
#undef GSS_C_INQ_SSPI_SESSION_KEY
#define GSS_C_INQ_SSPI_SESSION_KEY \
    (&(gss_OID_desc){11, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05"})

const char *mech_text(gss_const_OID oid);

static inline OM_uint32 gss_set_neg_mechs(OM_uint32 *minor, gss_cred_id_t cred, gss_OID_set mechs)
{
    static gss_OID_desc set_neg_mechs = {7, "\x69\x8e\xfa\x86\xc7\x1c\x02"};
    char list[512] = "";
    gss_buffer_desc value = {0, list};

    for (size_t i = 0; i < mechs->count; i++) {
        strncat(list, mech_text(&mechs->elements[i]), sizeof(list) - strlen(list) - 1);
        strncat(list, " ", sizeof(list) - strlen(list) - 1);
    }
    value.length = strlen(list);
    return gss_set_cred_option(minor, &cred, &set_neg_mechs, &value);
}

#endif
