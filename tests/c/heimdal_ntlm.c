/* Credentials and names of our own NTLM under Heimdal: what each says of itself, and whether it signs
 * in to an acceptor that has the file of users. */
#include "common.h"
#include "handshake.h"

#include <string.h>

static gss_OID spnego;

static void inquire(gss_cred_id_t cred)
{
    OM_uint32 major, minor;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

    show_cred("inquire_cred", cred);
    SHOW("export_cred", gss_export_cred(&minor, cred, &token));
    gss_release_buffer(&minor, &token);
    SHOW("store_cred",
         gss_store_cred(&minor, cred, GSS_C_INITIATE, spnego, 1, 0, NULL, NULL));
}

static void names(gss_name_t name)
{
    OM_uint32 major, minor;
    gss_name_t copy = GSS_C_NO_NAME, canonical = GSS_C_NO_NAME, again = GSS_C_NO_NAME;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_OID_desc mech;
    int equal = -1;

    show_name("  peer", name);
    SHOW("  duplicate_name", gss_duplicate_name(&minor, name, &copy));
    SHOW("  compare_name", gss_compare_name(&minor, name, copy, &equal));
    show("  equal: %d", equal);
    SHOW("  canonicalize_name", gss_canonicalize_name(&minor, name, spnego, &canonical));
    show_name("  canonical", canonical);
    SHOW("  localname", gss_localname(&minor, name, GSS_C_NO_OID, &text));
    show("  account: %.*s", (int)text.length, (char *)text.value);
    gss_release_buffer(&minor, &text);
    show("  may be user: %d, may be root: %d", gss_userok(name, "user"), gss_userok(name, "root"));
    SHOW("  export_name", gss_export_name(&minor, name, &text));
    mech.elements = (char *)text.value + 6;
    mech.length = ((unsigned char *)text.value)[5];
    show("  of mech: %s", mech_text(&mech));
    gss_release_buffer(&minor, &text);
    gss_release_name(&minor, &copy);
    gss_release_name(&minor, &canonical);
    gss_release_name(&minor, &again);
}

static void use(gss_cred_id_t cred, gss_cred_usage_t usage, int with_names)
{
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = spnego,
                                  .flags = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG |
                                           GSS_C_DELEG_FLAG};
    OM_uint32 minor;

    if (usage != GSS_C_ACCEPT)
        handshake.initiator_cred = cred;
    if (usage != GSS_C_INITIATE)
        handshake.acceptor_cred = cred;
    if (shake_hands(&handshake)) {
        show("use: established");
        show("  messages: %s", messages_pass(&handshake) ? "pass" : "do not pass");
        show("  delegated: %s", handshake.delegated == GSS_C_NO_CREDENTIAL ? "no" : "yes");
        if (with_names)
            names(handshake.peer);
    } else {
        show("use: not established");
    }
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
}

/* With a password, or when it is null with what the environment has. */
static void acquire(const char *user, const char *password, gss_cred_usage_t usage, int with_names)
{
    gss_OID_set mechs = mech_set("spnego"), actual = GSS_C_NO_OID_SET;
    gss_name_t name = imported(user, "user");
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_buffer_desc secret = text_buffer(password == NULL ? "" : password);
    OM_uint32 major, minor;

    show("== %s, %s, to %s", user, password == NULL ? "of the file" : password, usage_text(usage));
    if (password == NULL)
        SHOW("acquire",
             gss_acquire_cred(&minor, name, 0, mechs, usage, &cred, &actual, NULL));
    else
        SHOW("acquire", gss_acquire_cred_with_password(&minor, name, &secret, 0, mechs, usage,
                                                       &cred, &actual, NULL));
    if (!GSS_ERROR(major)) {
        show_mechs("  actual mechs", actual);
        inquire(cred);
        use(cred, usage, with_names);
    }
    gss_release_oid_set(&minor, &actual);
    gss_release_oid_set(&minor, &mechs);
    gss_release_cred(&minor, &cred);
    gss_release_name(&minor, &name);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    spnego = mech_oid("spnego");
    acquire("none", NULL, GSS_C_INITIATE, 1);
    acquire("none", NULL, GSS_C_ACCEPT, 0);
    acquire("none", NULL, GSS_C_BOTH, 0);
    acquire("SPNEGO\\other", NULL, GSS_C_INITIATE, 0);
    acquire("SPNEGO\\nobody", NULL, GSS_C_INITIATE, 0);
    acquire("SPNEGO\\user", "sesame", GSS_C_INITIATE, 0);
    acquire("SPNEGO\\user", "guess", GSS_C_INITIATE, 0);
    acquire("SPNEGO\\user", "sesame", GSS_C_ACCEPT, 0);
    show_plugin();
    return 0;
}
