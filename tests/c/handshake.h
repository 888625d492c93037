/* Both ends in one thread. */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include "common.h"

struct handshake {
    gss_name_t target;
    gss_OID mech;
    OM_uint32 flags;
    gss_cred_id_t initiator_cred, acceptor_cred;
    gss_channel_bindings_t bindings;
    /* Called with each token on its way, to alter it; may be NULL. */
    void (*on_the_way)(gss_buffer_t token, int from_initiator, int which, void *caller);
    void *caller;

    /* What came of it. */
    gss_ctx_id_t initiator, acceptor;
    OM_uint32 initiator_major, acceptor_major, initiator_minor, acceptor_minor;
    gss_name_t peer;
    gss_cred_id_t delegated;
};

/* Nonzero when both ends are established. */
int shake_hands(struct handshake *handshake);
/* Delete the contexts and what came with them; the target and credentials stay. */
void end_handshake(struct handshake *handshake);
/* A wrapped message and a MIC in each direction; zero if any fails. */
int messages_pass(struct handshake *handshake);

#endif
