/* Frames between the two ends: a kind, a length, octets. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "common.h"

enum frame {
    TOKEN = 'T',   /* a context token */
    DONE = 'D',    /* the sender is established */
    ERROR = 'E',   /* the sender failed; the octets are its error token, if any */
    MESSAGE = 'M', /* something for the established contexts */
    CLOSED = 0,
};

/* Tokens come in on descriptor 0 and go out on descriptor 1. */
void send_frame(enum frame kind, const gss_buffer_desc *octets);
/* The caller frees octets->value. */
enum frame receive_frame(gss_buffer_desc *octets);

#endif
