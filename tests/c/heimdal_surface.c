/* The calls of Heimdal's interface that a connection does not need: mechanisms, names, credentials,
 * options. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

static gss_OID spnego;

static void show_text(const char *label, gss_buffer_desc *text)
{
    OM_uint32 minor;

    show("%s: %.*s", label, (int)text->length, (char *)text->value);
    gss_release_buffer(&minor, text);
}

/* ---- the mechanism ---- */

static int has(gss_OID_set set, gss_OID oid)
{
    int present = 0;
    OM_uint32 minor;

    gss_test_oid_set_member(&minor, oid, set, &present);
    return present;
}

static void mechanism(void)
{
    OM_uint32 major, minor;
    gss_OID_set set = NULL, known = NULL;
    gss_buffer_desc name = GSS_C_EMPTY_BUFFER, mech = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc description = GSS_C_EMPTY_BUFFER;
    gss_OID found = NULL;

    SHOW("indicate_mechs", gss_indicate_mechs(&minor, &set));
    show_mechs("  mechs", set);
    gss_release_oid_set(&minor, &set);
    SHOW("inquire_names_for_mech", gss_inquire_names_for_mech(&minor, spnego, &set));
    show("  hostbased: %d user: %d", has(set, GSS_C_NT_HOSTBASED_SERVICE),
         has(set, GSS_C_NT_USER_NAME));
    gss_release_oid_set(&minor, &set);
    SHOW("inquire_attrs_for_mech", gss_inquire_attrs_for_mech(&minor, spnego, &set, &known));
    show("  nego: %d sasl name: %d deprecated: %d", has(set, GSS_C_MA_MECH_NEGO),
         has(set, GSS_C_MA_SASL_MECH_NAME), has(set, GSS_C_MA_DEPRECATED));
    gss_release_oid_set(&minor, &set);
    gss_release_oid_set(&minor, &known);
    SHOW("inquire_saslname_for_mech",
         gss_inquire_saslname_for_mech(&minor, spnego, &name, &mech, &description));
    SHOW("inquire_mech_for_saslname", gss_inquire_mech_for_saslname(&minor, &name, &found));
    show("  mech: %s", mech_text(found));
    show_text("  sasl name", &name);
    show_text("  mech name", &mech);
    show("  description: %s", description.length > 0 ? "some" : "none");
    gss_release_buffer(&minor, &description);
    show("mo_get of a text: %#x", (unsigned)gss_mo_get(spnego, GSS_C_MA_SASL_MECH_NAME, &name));
    show_text("  value", &name);
    show("mo_get of an attribute: %#x", (unsigned)gss_mo_get(spnego, GSS_C_MA_MECH_NEGO, &name));
}

/* ---- names ---- */

static void show_exported(const char *label, gss_name_t name)
{
    OM_uint32 major, minor;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    gss_name_t again = GSS_C_NO_NAME;
    gss_OID_desc oid;

    SHOW(label, gss_export_name(&minor, name, &token));
    if (GSS_ERROR(major))
        return;
    oid.elements = (char *)token.value + 6;
    oid.length = ((unsigned char *)token.value)[5];
    show("  of mech: %s", mech_text(&oid));
    SHOW("  import of it", gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &again));
    if (!GSS_ERROR(major))
        show_name("  shown", again);
    gss_release_name(&minor, &again);
    gss_release_buffer(&minor, &token);
}

static void names(const char *text, const char *type)
{
    gss_name_t name = imported(text, type), copy = NULL, canonical = NULL, other = NULL;
    OM_uint32 major, minor;
    gss_OID_set mechs = NULL;
    gss_buffer_desc value = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc exported = GSS_C_EMPTY_BUFFER;
    int equal = -1;

    show("-- name %s, %s", text, type);
    show_name("display_name", name);
    SHOW("duplicate_name", gss_duplicate_name(&minor, name, &copy));
    show_name("  copy", copy);
    SHOW("compare_name", gss_compare_name(&minor, name, copy, &equal));
    show("  equal: %d", equal);
    SHOW("inquire_mechs_for_name", gss_inquire_mechs_for_name(&minor, name, &mechs));
    show_mechs("  mechs", mechs);
    gss_release_oid_set(&minor, &mechs);
    SHOW("canonicalize_name, krb5", gss_canonicalize_name(&minor, name, mech_oid("krb5"), &other));
    SHOW("canonicalize_name, spnego", gss_canonicalize_name(&minor, name, spnego, &canonical));
    if (canonical != NULL) {
        equal = -1;
        show_name("  canonical", canonical);
        SHOW("compare_name, canonical", gss_compare_name(&minor, name, canonical, &equal));
        show("  equal: %d", equal);
        show_exported("export_name, canonical", canonical);
        /* Only that these end is asked: what they say is each SPNEGO's own. */
        gss_localname(&minor, canonical, spnego, &value);
        gss_release_buffer(&minor, &value);
        gss_localname(&minor, canonical, GSS_C_NO_OID, &value);
        gss_release_buffer(&minor, &value);
        gss_display_name_ext(&minor, canonical, GSS_C_NT_USER_NAME, &value);
        gss_export_name_composite(&minor, canonical, &value);
        gss_release_buffer(&minor, &value);
        gss_authorize_localname(&minor, canonical, name);
        gss_userok(canonical, "user");
        gss_release_name(&minor, &copy);
        gss_duplicate_name(&minor, canonical, &copy);
    }
    show_exported("export_name", name);
    /* An exported name that says it is SPNEGO's. */
    exported.value = "\x04\x01\x00\x08\x06\x06\x2b\x06\x01\x05\x05\x02\x00\x00\x00\x04user";
    exported.length = 20;
    gss_release_name(&minor, &other);
    if (!GSS_ERROR(gss_import_name(&minor, &exported, GSS_C_NT_EXPORT_NAME, &other))) {
        gss_display_name(&minor, other, &value, NULL);
        gss_release_buffer(&minor, &value);
    }
    gss_release_name(&minor, &other);
    gss_release_name(&minor, &canonical);
    gss_release_name(&minor, &copy);
    gss_release_name(&minor, &name);
}

/* ---- credentials ---- */

static void ask_cred(const char *label, gss_cred_id_t cred)
{
    OM_uint32 major, minor, seconds = 0, accept_seconds = 0;
    gss_name_t name = NULL;
    gss_cred_usage_t usage = -1;

    show_cred(label, cred);
    SHOW("  by mech", gss_inquire_cred_by_mech(&minor, cred, spnego, &name, &seconds,
                                               &accept_seconds, &usage));
    if (!GSS_ERROR(major)) {
        show_name("  name", name);
        show("  time: %s, %s usage: %s", time_text(seconds), time_text(accept_seconds),
             usage_text(usage));
    }
    gss_release_name(&minor, &name);
}

static void try_cred(gss_cred_id_t cred)
{
    gss_name_t target = imported("HTTP@localhost", "hostbased");
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    SHOW("  init with it", gss_init_sec_context(&minor, cred, &context, target, spnego, 0, 0, NULL,
                                                NULL, NULL, &token, NULL, NULL));
    show_token("  would send", &token);
    gss_release_buffer(&minor, &token);
    gss_delete_sec_context(&minor, &context, NULL);
    gss_release_name(&minor, &target);
}

static void credentials(const char *cache)
{
    gss_OID_set mechs = mech_set("spnego"), actual = NULL;
    gss_cred_id_t cred = NULL, added = NULL, again = NULL;
    OM_uint32 major, minor, one = 0, other = 0;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, value;
    gss_buffer_set_t set = NULL;
    gss_cred_usage_t stored = -1;
    char resolved[512];
    krb5_context krb5;
    krb5_ccache ccache;

    show("-- credentials");
    ask_cred("inquire_cred of the default", GSS_C_NO_CREDENTIAL);
    for (int usage = 0; usage < 3; usage++) {
        SHOW("acquire", gss_acquire_cred(&minor, NULL, 0, mechs, usage, &cred, &actual, &one));
        gss_release_oid_set(&minor, &actual);
        if (cred != NULL)
            ask_cred("inquire_cred", cred);
        gss_release_cred(&minor, &cred);
    }
    SHOW("add_cred to none", gss_add_cred(&minor, NULL, NULL, spnego, GSS_C_INITIATE, 0, 0, &cred,
                                          NULL, &one, &other));
    show("  times: %s, %s", time_text(one), time_text(other));
    try_cred(cred);
    SHOW("add_cred of another",
         gss_add_cred(&minor, cred, NULL, mech_oid("krb5"), GSS_C_INITIATE, 0, 0, &added, NULL,
                      NULL, NULL));
    if (added != NULL) {
        ask_cred("inquire_cred of both", added);
        try_cred(added);
    }
    SHOW("export_cred", gss_export_cred(&minor, cred, &token));
    if (!GSS_ERROR(major)) {
        SHOW("import_cred", gss_import_cred(&minor, &token, &again));
        if (!GSS_ERROR(major)) {
            ask_cred("inquire_cred of the imported", again);
            try_cred(again);
        }
    }
    gss_release_buffer(&minor, &token);
    gss_release_cred(&minor, &again);
    if (added != NULL) {
        SHOW("export_cred of both", gss_export_cred(&minor, added, &token));
        if (!GSS_ERROR(major))
            SHOW("import_cred of both", gss_import_cred(&minor, &token, &again));
        gss_release_buffer(&minor, &token);
        gss_release_cred(&minor, &again);
    }
    setenv("KRB5CCNAME", cache, 1);
    gss_store_cred(&minor, cred, GSS_C_INITIATE, spnego, 1, 1, NULL, &stored);
    gss_inquire_cred_by_oid(&minor, cred, mech_oid("unused"), &set);
    gss_release_buffer_set(&minor, &set);
    value = text_buffer("x");
    SHOW("unknown option", gss_set_cred_option(&minor, &cred, mech_oid("unused"), &value));
    SHOW("unknown option of none", gss_set_cred_option(&minor, &again, mech_oid("unused"), &value));
    gss_release_cred(&minor, &cred);
    gss_release_cred(&minor, &added);

    /* Options that go to all mechanisms, without a context, and a credential from a cache. */
    show("register keytab: %s", major_text(gsskrb5_register_acceptor_identity(getenv("KRB5_KTNAME"))));
    show("dns: %s", major_text(gsskrb5_set_dns_canonicalize(0)));
    snprintf(resolved, sizeof(resolved), "%s", option("from", ""));
    if (krb5_init_context(&krb5) != 0 || krb5_cc_resolve(krb5, resolved, &ccache) != 0)
        stop("no cache %s", resolved);
    SHOW("gss_krb5_import_cred", gss_krb5_import_cred(&minor, ccache, NULL, NULL, &cred));
    if (cred != NULL) {
        gss_release_cred(&minor, &cred);
        krb5_cc_close(krb5, ccache);
    }
    krb5_free_context(krb5);
    gss_release_oid_set(&minor, &mechs);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    spnego = mech_oid("spnego");
    mechanism();
    names("HTTP@localhost", "hostbased");
    names("user", "user");
    names("user@SPNEGO.TEST", "principal");
    credentials(option("store", "MEMORY:stored"));
    show_plugin();
    return 0;
}
