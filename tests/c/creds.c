/* Every function about credentials, asked for SPNEGO.
 *
 * Options: keytab=, user_keytab=, scratch= (a directory for what is stored), web_cache= (a cache of
 * the service that may impersonate). */
#include "common.h"
#include "handshake.h"

#include <stdlib.h>
#include <string.h>

static void inquire(gss_cred_id_t cred)
{
    OM_uint32 major, minor, initiate = 0, accept = 0;
    gss_name_t name = GSS_C_NO_NAME;
    gss_cred_usage_t usage = -1;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;

    show_cred("inquire_cred", cred);
    for (int i = 0; i < 2; i++) {
        SHOW(i == 0 ? "inquire_cred_by_mech, spnego" : "inquire_cred_by_mech, krb5",
             gss_inquire_cred_by_mech(&minor, cred, mech_oid(i == 0 ? "spnego" : "krb5"), &name,
                                      &initiate, &accept, &usage));
        if (!GSS_ERROR(major)) {
            show_name("  name", name);
            show("  initiate: %s accept: %s usage: %s", time_text(initiate), time_text(accept),
                 usage_text(usage));
        }
        gss_release_name(&minor, &name);
    }
    SHOW("inquire nothing", gss_inquire_cred(&minor, cred, NULL, NULL, NULL, NULL));
    SHOW("unknown question", gss_inquire_cred_by_oid(&minor, cred, mech_oid("unused"), &set));
    gss_release_buffer_set(&minor, &set);
    SHOW("impersonator", gss_inquire_cred_by_oid(&minor, cred,
                                                 (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set));
    if (!GSS_ERROR(major))
        show("  buffers: %zu", set == NULL ? 0 : set->count);
    gss_release_buffer_set(&minor, &set);
}

/* As initiator to HTTP@localhost, or as acceptor for the default user. */
static void use(const char *label, gss_cred_id_t cred, int initiator)
{
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = mech_oid("spnego"), .flags = GSS_C_MUTUAL_FLAG};
    OM_uint32 minor;

    if (initiator)
        handshake.initiator_cred = cred;
    else
        handshake.acceptor_cred = cred;
    show("%s: %s", label, shake_hands(&handshake) ? "established" : "not established");
    if (handshake.peer != GSS_C_NO_NAME)
        show_name("  peer", handshake.peer);
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
}

static void set_options(gss_cred_id_t *cred)
{
    gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
    gss_OID_set mechs = mech_set("krb5");
    krb5_enctype types[] = {18};
    OM_uint32 major, minor;

    SHOW("set no_ci_flags", gss_set_cred_option(&minor, cred, (gss_OID)GSS_KRB5_CRED_NO_CI_FLAGS_X,
                                                &empty));
    SHOW("set unknown option", gss_set_cred_option(&minor, cred, mech_oid("unused"), &empty));
    SHOW("set_allowable_enctypes", gss_krb5_set_allowable_enctypes(&minor, *cred, 1, types));
    SHOW("set_neg_mechs", gss_set_neg_mechs(&minor, *cred, mechs));
    gss_release_oid_set(&minor, &mechs);
}

static void through_export(gss_cred_id_t cred, int initiator)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t again = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    SHOW("export_cred", gss_export_cred(&minor, cred, &token));
    if (GSS_ERROR(major))
        return;
    SHOW("import_cred", gss_import_cred(&minor, &token, &again));
    if (!GSS_ERROR(major)) {
        inquire(again);
        use("use imported", again, initiator);
    }
    gss_release_cred(&minor, &again);
    gss_release_buffer(&minor, &token);
}

static void store(gss_cred_id_t cred)
{
    char text[1100];
    gss_OID_set stored = GSS_C_NO_OID_SET;
    gss_cred_usage_t usage = -1;
    OM_uint32 major, minor;

    snprintf(text, sizeof(text), "ccache:FILE:%s/stored", option("scratch", "/nonexistent"));
    SHOW("store_cred_into", gss_store_cred_into(&minor, cred, GSS_C_INITIATE, mech_oid("spnego"), 1,
                                                0, cred_store(text), &stored, &usage));
    if (!GSS_ERROR(major)) {
        gss_cred_id_t again = GSS_C_NO_CREDENTIAL;
        gss_OID_set mechs = mech_set("spnego");

        show_mechs("  stored", stored);
        show("  usage: %s", usage_text(usage));
        SHOW("acquire what was stored",
             gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, mechs, GSS_C_INITIATE,
                                   cred_store(text), &again, NULL, NULL));
        if (!GSS_ERROR(major))
            inquire(again);
        gss_release_cred(&minor, &again);
        gss_release_oid_set(&minor, &mechs);
    }
    gss_release_oid_set(&minor, &stored);
    SHOW("store_cred", gss_store_cred(&minor, cred, GSS_C_INITIATE, mech_oid("spnego"), 1, 0,
                                      &stored, &usage));
    gss_release_oid_set(&minor, &stored);
    SHOW("store_cred for any mechanism",
         gss_store_cred(&minor, cred, GSS_C_INITIATE, GSS_C_NO_OID, 1, 0, &stored, &usage));
    if (!GSS_ERROR(major))
        show_mechs("  stored", stored);
    gss_release_oid_set(&minor, &stored);
}

static void every_function(gss_cred_id_t cred, int initiator)
{
    inquire(cred);
    use("use", cred, initiator);
    through_export(cred, initiator);
    if (initiator)
        store(cred);
    set_options(&cred);
    use("use with options", cred, initiator);
}

static void acquired(const char *mechs, gss_cred_usage_t usage, const char *name, const char *type)
{
    gss_OID_set set = mech_set(mechs), actual = GSS_C_NO_OID_SET;
    gss_name_t who = imported(name, type);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor, seconds = 0;

    show("== mechs %s, usage %s, name %s", mechs, usage_text(usage), name);
    SHOW("acquire", gss_acquire_cred(&minor, who, 0, set, usage, &cred, &actual, &seconds));
    if (!GSS_ERROR(major)) {
        show_mechs("  actual", actual);
        show("  time: %s", time_text(seconds));
        every_function(cred, usage != GSS_C_ACCEPT);
    }
    gss_release_cred(&minor, &cred);
    gss_release_oid_set(&minor, &actual);
    gss_release_oid_set(&minor, &set);
    gss_release_name(&minor, &who);
}

static void added(void)
{
    OM_uint32 major, minor, initiate = 0, accept = 0;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL, more = GSS_C_NO_CREDENTIAL;
    gss_OID_set actual = GSS_C_NO_OID_SET;
    const char *const order[] = {"krb5", "spnego", "spnego", "iakerb"};

    show("== add_cred");
    for (int i = 0; i < 4; i++) {
        char label[32];

        snprintf(label, sizeof(label), "add %s", order[i]);
        SHOW(label, gss_add_cred(&minor, cred, GSS_C_NO_NAME, mech_oid(order[i]), GSS_C_INITIATE, 0,
                                 0, cred == GSS_C_NO_CREDENTIAL ? &cred : NULL, &actual, &initiate,
                                 &accept));
        if (!GSS_ERROR(major)) {
            show_mechs("  actual", actual);
            show("  initiate: %s accept: %s", time_text(initiate), time_text(accept));
        }
        gss_release_oid_set(&minor, &actual);
    }
    inquire(cred);
    use("use", cred, 1);
    SHOW("add to a copy", gss_add_cred(&minor, cred, GSS_C_NO_NAME, mech_oid("krb5-old"),
                                       GSS_C_INITIATE, 0, 0, &more, &actual, NULL, NULL));
    if (!GSS_ERROR(major)) {
        show_mechs("  actual", actual);
        inquire(more);
        use("use the copy", more, 1);
    }
    gss_release_oid_set(&minor, &actual);
    gss_release_cred(&minor, &more);
    gss_release_cred(&minor, &cred);
}

static void from_store(const char *title, const char *key, const char *value, gss_cred_usage_t usage)
{
    char text[1100];
    gss_OID_set mechs = mech_set("spnego");
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    show("== from %s", title);
    snprintf(text, sizeof(text), "%s:%s", key, value);
    SHOW("acquire_from", gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, mechs, usage,
                                               cred_store(text), &cred, NULL, NULL));
    if (!GSS_ERROR(major)) {
        inquire(cred);
        use("use", cred, usage == GSS_C_INITIATE);
    }
    gss_release_cred(&minor, &cred);
    gss_release_oid_set(&minor, &mechs);
}

static void with_password(const char *password)
{
    gss_name_t name = imported("user@SPNEGO.TEST", "principal");
    gss_OID_set mechs = mech_set("spnego");
    gss_buffer_desc secret = text_buffer(password);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    show("== password %s", password);
    SHOW("acquire_with_password", gss_acquire_cred_with_password(&minor, name, &secret, 0, mechs,
                                                                 GSS_C_INITIATE, &cred, NULL,
                                                                 NULL));
    if (!GSS_ERROR(major)) {
        inquire(cred);
        use("use", cred, 1);
    }
    gss_release_cred(&minor, &cred);
    SHOW("add_with_password", gss_add_cred_with_password(&minor, GSS_C_NO_CREDENTIAL, name,
                                                         mech_oid("spnego"), &secret,
                                                         GSS_C_INITIATE, 0, 0, &cred, NULL, NULL,
                                                         NULL));
    if (!GSS_ERROR(major))
        use("use", cred, 1);
    gss_release_cred(&minor, &cred);
    gss_release_oid_set(&minor, &mechs);
    gss_release_name(&minor, &name);
}

/* S4U2Self, and with what it gives S4U2Proxy to `target`. */
static void impersonated(const char *target)
{
    char text[1100];
    gss_name_t user = imported("user@SPNEGO.TEST", "principal"), service = imported(target, "hostbased");
    gss_OID_set mechs = mech_set("spnego"), actual = GSS_C_NO_OID_SET;
    gss_cred_id_t own = GSS_C_NO_CREDENTIAL, cred = GSS_C_NO_CREDENTIAL;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, seconds = 0;

    show("== impersonation, to %s", target);
    snprintf(text, sizeof(text), "ccache:FILE:%s;keytab:%s", option("web_cache", ""),
             option("keytab", ""));
    SHOW("acquire", gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, mechs, GSS_C_BOTH,
                                          cred_store(text), &own, NULL, NULL));
    if (!GSS_ERROR(major))
        SHOW("impersonate", gss_acquire_cred_impersonate_name(&minor, own, user, 0, mechs,
                                                              GSS_C_INITIATE, &cred, &actual,
                                                              &seconds));
    if (!GSS_ERROR(major)) {
        /* Which mechanisms came of it is told with the glue's longer OIDs where an interposer is. */
        show("  actual: %zu time: %s", actual == NULL ? 0 : actual->count, time_text(seconds));
        inquire(cred);
        SHOW("init as the user", gss_init_sec_context(&minor, cred, &context, service,
                                                      mech_oid("spnego"), 0, 0, NULL, NULL, NULL,
                                                      &token, NULL, NULL));
        show_token("  token", &token);
        gss_release_buffer(&minor, &token);
        gss_delete_sec_context(&minor, &context, NULL);
    }
    gss_release_cred(&minor, &cred);
    gss_release_cred(&minor, &own);
    gss_release_oid_set(&minor, &actual);
    gss_release_oid_set(&minor, &mechs);
    gss_release_name(&minor, &user);
    gss_release_name(&minor, &service);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    show("== default");
    inquire(GSS_C_NO_CREDENTIAL);
    use("use", GSS_C_NO_CREDENTIAL, 1);
    acquired("none", GSS_C_INITIATE, "none", "user");
    acquired("none", GSS_C_ACCEPT, "none", "user");
    acquired("none", GSS_C_BOTH, "none", "user");
    acquired("spnego", GSS_C_INITIATE, "none", "user");
    acquired("spnego", GSS_C_ACCEPT, "none", "user");
    acquired("spnego", GSS_C_BOTH, "none", "user");
    acquired("spnego", GSS_C_INITIATE, "user@SPNEGO.TEST", "principal");
    acquired("spnego", GSS_C_ACCEPT, "HTTP@localhost", "hostbased");
    acquired("spnego", GSS_C_INITIATE, "other@SPNEGO.TEST", "principal");
    acquired("spnego", GSS_C_ACCEPT, "ldap@localhost", "hostbased");
    acquired("spnego,krb5", GSS_C_INITIATE, "none", "user");
    acquired("private", GSS_C_INITIATE, "none", "user");
    added();
    from_store("a keytab", "keytab", option("keytab", ""), GSS_C_ACCEPT);
    from_store("a missing keytab", "keytab", "/nonexistent", GSS_C_ACCEPT);
    from_store("a client keytab", "client_keytab", option("user_keytab", ""), GSS_C_INITIATE);
    from_store("a missing cache", "ccache", "FILE:/nonexistent", GSS_C_INITIATE);
    from_store("an unknown key", "unknown", "value", GSS_C_INITIATE);
    with_password("sesame");
    with_password("wrong");
    impersonated("backend@localhost");
    impersonated("HTTP@localhost");
    impersonated("web@localhost");
    show_plugin();
    return 0;
}
