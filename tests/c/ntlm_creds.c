/* Every way to a credential for NTLM through SPNEGO: what it says of itself, and whether it signs in
 * to an acceptor that has the file of users.
 *
 * Options: keyfile= (a file of users), nothing= (one that is not there), hash= (of the password) */
#include "common.h"
#include "handshake.h"

#include <string.h>

static void inquire(gss_cred_id_t cred)
{
    OM_uint32 major, minor, initiate = 0, accept = 0;
    gss_name_t name = GSS_C_NO_NAME;
    gss_cred_usage_t usage = -1;

    show_cred("inquire_cred", cred);
    SHOW("inquire_cred_by_mech", gss_inquire_cred_by_mech(&minor, cred, mech_oid(option("mech", "spnego")), &name,
                                                          &initiate, &accept, &usage));
    if (!GSS_ERROR(major)) {
        show_name("  name", name);
        show("  initiate: %s accept: %s usage: %s", time_text(initiate), time_text(accept),
             usage_text(usage));
    }
    gss_release_name(&minor, &name);
}

static void use(gss_cred_id_t cred, gss_cred_usage_t usage)
{
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = mech_oid(option("mech", "spnego")),
                                  .flags = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG};
    OM_uint32 minor;
    int established;

    if (usage != GSS_C_ACCEPT)
        handshake.initiator_cred = cred;
    if (usage != GSS_C_INITIATE)
        handshake.acceptor_cred = cred;
    established = shake_hands(&handshake);
    show("use: %s", established ? "established" : "not established");
    if (established) {
        show_name("  peer", handshake.peer);
        show("  messages: %s", messages_pass(&handshake) ? "pass" : "do not pass");
    } else {
        show_status("  initiator", handshake.initiator_major, handshake.initiator_minor, NULL);
        show_status("  acceptor", handshake.acceptor_major, handshake.acceptor_minor, NULL);
    }
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
}

static void acquired(OM_uint32 major, OM_uint32 minor, gss_cred_id_t cred, gss_cred_usage_t usage)
{
    show_status("acquire", major, minor, GSS_C_NO_OID);
    if (!GSS_ERROR(major)) {
        inquire(cred);
        use(cred, usage);
    }
    gss_release_cred(&minor, &cred);
}

/* `store` may be empty: then it is the default credential. */
static void from(const char *title, const char *store, const char *user, gss_cred_usage_t usage)
{
    gss_OID_set mechs = mech_set(option("mech", "spnego"));
    gss_name_t name = imported(user, "user");
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor, ignored;

    show("== %s, for %s, %s", title, user, usage_text(usage));
    if (*store == '\0')
        major = gss_acquire_cred(&minor, name, 0, mechs, usage, &cred, NULL, NULL);
    else
        major = gss_acquire_cred_from(&minor, name, 0, mechs, usage, cred_store(store), &cred, NULL,
                                      NULL);
    acquired(major, minor, cred, usage);
    gss_release_name(&ignored, &name);
    gss_release_oid_set(&ignored, &mechs);
}

static void with_password(const char *user, const char *password)
{
    gss_OID_set mechs = mech_set(option("mech", "spnego"));
    gss_name_t name = imported(user, "user");
    gss_buffer_desc secret = text_buffer(password);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor, ignored;

    show("== password %s, for %s", password, user);
    major = gss_acquire_cred_with_password(&minor, name, &secret, 0, mechs, GSS_C_INITIATE, &cred,
                                           NULL, NULL);
    acquired(major, minor, cred, GSS_C_INITIATE);
    gss_release_name(&ignored, &name);
    gss_release_oid_set(&ignored, &mechs);
}

/* The same, with `value` behind the key. */
static void from_key(const char *title, const char *key, const char *value, const char *user,
                     gss_cred_usage_t usage)
{
    char store[1200];

    snprintf(store, sizeof(store), "%s:%s", key, value);
    from(title, store, user, usage);
}

int main(int argc, char **argv)
{
    const char *keyfile, *nothing, *hash;

    take_options(argc, argv);
    keyfile = option("keyfile", "");
    nothing = option("nothing", "");
    hash = option("hash", "");
    from("default", "", "none", GSS_C_INITIATE);
    from("default", "", "none", GSS_C_ACCEPT);
    from("default", "", "none", GSS_C_BOTH);
    from("user of the file", "", "SPNEGO\\user", GSS_C_INITIATE);
    from("nobody of the file", "", "SPNEGO\\nobody", GSS_C_INITIATE);
    from_key("key file", "ntlmssp_keyfile", keyfile, "none", GSS_C_INITIATE);
    from_key("key file", "ntlmssp_keyfile", keyfile, "none", GSS_C_ACCEPT);
    from_key("key file", "ntlmssp_keyfile", keyfile, "SPNEGO\\other", GSS_C_INITIATE);
    from_key("missing key file", "ntlmssp_keyfile", nothing, "none", GSS_C_INITIATE);
    from("password in a store", "ntlmssp_password:sesame", "SPNEGO\\user", GSS_C_INITIATE);
    from("wrong password in a store", "ntlmssp_password:guess", "SPNEGO\\user", GSS_C_INITIATE);
    from("domain and password in a store", "ntlmssp_domain:SPNEGO;ntlmssp_password:sesame", "user",
         GSS_C_INITIATE);
    from("wrong domain in a store", "ntlmssp_domain:ELSEWHERE;ntlmssp_password:sesame", "user",
         GSS_C_INITIATE);
    from_key("hash in a store", "ntlmssp_nthash", hash, "SPNEGO\\user", GSS_C_INITIATE);
    from("no hash in a store", "ntlmssp_nthash:sesame", "SPNEGO\\user", GSS_C_INITIATE);
    with_password("SPNEGO\\user", "sesame");
    with_password("SPNEGO\\user", "guess");
    show_plugin();
    return 0;
}
