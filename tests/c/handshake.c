#include "handshake.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 20 };

/* Run one end's leg on `token`; what it has to say takes its place. Zero when it says nothing. */
static int leg(struct handshake *handshake, int initiator, gss_buffer_t token)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    if (initiator) {
        handshake->initiator_major = gss_init_sec_context(
            &handshake->initiator_minor, handshake->initiator_cred, &handshake->initiator,
            handshake->target, handshake->mech, handshake->flags, 0, handshake->bindings, token,
            NULL, &output, NULL, NULL);
    } else {
        /* Names and credentials of an earlier leg would be lost. */
        gss_release_name(&minor, &handshake->peer);
        gss_release_cred(&minor, &handshake->delegated);
        handshake->acceptor_major = gss_accept_sec_context(
            &handshake->acceptor_minor, &handshake->acceptor, handshake->acceptor_cred, token,
            handshake->bindings, &handshake->peer, NULL, &output, NULL, NULL,
            &handshake->delegated);
    }
    gss_release_buffer(&minor, token);
    *token = output;
    return output.length > 0;
}

int shake_hands(struct handshake *handshake)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    handshake->initiator_major = handshake->acceptor_major = GSS_S_CONTINUE_NEEDED;
    for (int which = 0; which < MOST_TOKENS; which++) {
        int initiator = which % 2 == 0;
        OM_uint32 before = initiator ? handshake->initiator_major : handshake->acceptor_major;

        /* An end that is established or has failed has no use for another token. */
        if (before != GSS_S_CONTINUE_NEEDED || !leg(handshake, initiator, &token))
            break;
        if (handshake->on_the_way != NULL)
            handshake->on_the_way(&token, initiator, which, handshake->caller);
    }
    gss_release_buffer(&minor, &token);
    return handshake->initiator_major == GSS_S_COMPLETE &&
           handshake->acceptor_major == GSS_S_COMPLETE;
}

void end_handshake(struct handshake *handshake)
{
    OM_uint32 minor;

    gss_delete_sec_context(&minor, &handshake->initiator, NULL);
    gss_delete_sec_context(&minor, &handshake->acceptor, NULL);
    gss_release_name(&minor, &handshake->peer);
    gss_release_cred(&minor, &handshake->delegated);
}

static int passes(gss_ctx_id_t from, gss_ctx_id_t to)
{
    gss_buffer_desc text = text_buffer("message"), wrapped = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc mic = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int passed = gss_wrap(&minor, from, 1, 0, &text, NULL, &wrapped) == GSS_S_COMPLETE &&
                 gss_unwrap(&minor, to, &wrapped, &plain, NULL, NULL) == GSS_S_COMPLETE &&
                 same_buffer(&text, &plain) &&
                 gss_get_mic(&minor, from, 0, &text, &mic) == GSS_S_COMPLETE &&
                 gss_verify_mic(&minor, to, &text, &mic, NULL) == GSS_S_COMPLETE;

    gss_release_buffer(&minor, &wrapped);
    gss_release_buffer(&minor, &plain);
    gss_release_buffer(&minor, &mic);
    return passed;
}

int messages_pass(struct handshake *handshake)
{
    return passes(handshake->initiator, handshake->acceptor) &&
           passes(handshake->acceptor, handshake->initiator);
}
