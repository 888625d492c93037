/* Whether secrets of our own NTLM are still in memory after what they were for is gone.
 *
 *   wiped PASSWORD UTF-16 HASH    what is looked for, each in hexadecimal with every octet altered
 *                                 by 0x5a, so that the arguments are no finding themselves
 */
#include "common.h"
#include "handshake.h"
#include "memory.h"

#include <gssapi/gssapi_ext.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The session key, altered; what the library gave is overwritten before it is released. */
static struct masked session_key(gss_ctx_id_t context)
{
    gss_OID_desc question = {11, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05"};
    gss_buffer_set_t answer = GSS_C_NO_BUFFER_SET;
    struct masked key = {.length = 0};
    OM_uint32 minor;

    if (gss_inquire_sec_context_by_oid(&minor, context, &question, &answer) != GSS_S_COMPLETE)
        return key;
    key.length = answer->elements[0].length;
    for (size_t i = 0; i < key.length; i++)
        key.octets[i] = ((unsigned char *)answer->elements[0].value)[i] ^ MASK;
    for (size_t i = 0; i < answer->count; i++)
        explicit_bzero(answer->elements[i].value, answer->elements[i].length);
    gss_release_buffer_set(&minor, &answer);
    return key;
}

int main(int argc, char **argv)
{
    struct masked password, utf_16, hash, key;
    struct handshake handshake = {.target = imported("HTTP@localhost", "hostbased"),
                                  .mech = mech_oid("spnego"),
                                  .flags = GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG};
    gss_OID_set_desc spnego = {1, mech_oid("spnego")};
    gss_cred_id_t initiator = GSS_C_NO_CREDENTIAL, acceptor = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    bool done;

    if (argc != 4)
        return 2;
    password = masked(argv[1]);
    utf_16 = masked(argv[2]);
    hash = masked(argv[3]);
    gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &spnego, GSS_C_INITIATE, &initiator, NULL, NULL);
    gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &spnego, GSS_C_ACCEPT, &acceptor, NULL, NULL);
    handshake.initiator_cred = initiator;
    handshake.acceptor_cred = acceptor;
    done = shake_hands(&handshake) && messages_pass(&handshake);
    printf("%s\n", done ? "established" : "failed");
    key = session_key(handshake.initiator);
    printf("while they are in use: hash %s, key of %zu octets %s\n",
           found(&hash) > 0 ? "found" : "not found", key.length,
           found(&key) > 0 ? "found" : "not found");
    end_handshake(&handshake);
    gss_release_cred(&minor, &initiator);
    gss_release_cred(&minor, &acceptor);
    gss_release_name(&minor, &handshake.target);
    printf("afterwards: password %zu, in UTF-16 %zu, hash %zu, key %zu\n", found(&password),
           found(&utf_16), found(&hash), found(&key));
    return 0;
}
