/* Credentials that the caller says nothing of: which cache of a collection is taken for a target, and
 * what comes of storing every mechanism's part.
 *
 * Options: scratch= (a directory for what is stored). */
#include "common.h"
#include "handshake.h"

#include <stdio.h>

/* Acquired before there is a target, with its lifetime asked or not. */
static void chosen(const char *mechs, int ask)
{
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = mech_oid("spnego"), .flags = GSS_C_MUTUAL_FLAG};
    gss_OID_set set = mech_set(mechs);
    OM_uint32 major, minor, seconds = 0;

    show("== mechs %s, lifetime %s", mechs, ask ? "asked" : "not asked");
    SHOW("acquire", gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, set, GSS_C_INITIATE,
                                     &handshake.initiator_cred, NULL, ask ? &seconds : NULL));
    show("%s", shake_hands(&handshake) ? "established" : "not established");
    if (handshake.peer != GSS_C_NO_NAME)
        show_name("peer", handshake.peer);
    gss_release_cred(&minor, &handshake.initiator_cred);
    gss_release_oid_set(&minor, &set);
    gss_release_name(&minor, &handshake.target);
    end_handshake(&handshake);
}

/* As a program stores that knows of no mechanisms, where there is nothing and then where it is. */
static void stored(const char *mechs)
{
    char text[1100];
    gss_OID_set set = mech_set(mechs);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    show("== store mechs %s", mechs);
    snprintf(text, sizeof(text), "ccache:FILE:%s/%s", option("scratch", "/nonexistent"), mechs);
    SHOW("acquire",
         gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, set, GSS_C_INITIATE, &cred, NULL, NULL));
    SHOW("store", gss_store_cred_into(&minor, cred, GSS_C_INITIATE, GSS_C_NO_OID, 0, 0,
                                      cred_store(text), NULL, NULL));
    SHOW("store over it", gss_store_cred_into(&minor, cred, GSS_C_INITIATE, GSS_C_NO_OID, 1, 0,
                                              cred_store(text), NULL, NULL));
    gss_release_cred(&minor, &cred);
    gss_release_oid_set(&minor, &set);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    show_plugin();
    for (int ask = 0; ask < 2; ask++) {
        chosen("spnego", ask);
        chosen("none", ask);
    }
    stored("none");
    return 0;
}
