#include "channel.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void put(const void *octets, size_t length)
{
    const char *at = octets;

    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, at, length);

        if (written <= 0)
            return; /* The other end is gone, which the next receive_frame tells. */
        at += written;
        length -= (size_t)written;
    }
}

static int take(void *octets, size_t length)
{
    char *at = octets;

    while (length > 0) {
        ssize_t got = read(STDIN_FILENO, at, length);

        if (got <= 0)
            return 0;
        at += got;
        length -= (size_t)got;
    }
    return 1;
}

void send_frame(enum frame kind, const gss_buffer_desc *octets)
{
    unsigned char head = (unsigned char)kind;
    uint32_t length = octets == NULL ? 0 : (uint32_t)octets->length;

    put(&head, 1);
    put(&length, sizeof(length));
    if (length > 0)
        put(octets->value, length);
}

enum frame receive_frame(gss_buffer_desc *octets)
{
    unsigned char head;
    uint32_t length;

    octets->value = NULL;
    octets->length = 0;
    if (!take(&head, 1) || !take(&length, sizeof(length)))
        return CLOSED;
    /* Exactly as long as the token, so that a memory checker sees the first octet read too far. */
    octets->value = malloc(length == 0 ? 1 : length);
    octets->length = length;
    if (length > 0 && !take(octets->value, length))
        stop("a frame was cut short");
    return (enum frame)head;
}
