/* Looking for secrets in this process's own memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MASK = 0x5a, LONGEST = 64 };

/* What is looked for, with every octet altered, so that it is no finding itself. */
struct masked {
    unsigned char octets[LONGEST];
    size_t length;
};

static struct masked masked(const char *hex)
{
    struct masked secret = {.length = strlen(hex) / 2};

    for (size_t i = 0; i < secret.length && i < LONGEST; i++) {
        unsigned octet = 0;

        sscanf(hex + 2 * i, "%2x", &octet);
        secret.octets[i] = (unsigned char)octet;
    }
    return secret;
}

static bool is_at(const struct masked *secret, const unsigned char *place)
{
    for (size_t i = 0; i < secret->length; i++) {
        if (place[i] != (secret->octets[i] ^ MASK))
            return false;
    }
    return true;
}

/* How often it is in memory that can be written to: heap, stacks, data of libraries. */
static size_t found(const struct masked *secret)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    size_t times = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t begin, end;
        char rights[8];

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, rights) != 3 ||
            strncmp(rights, "rw", 2) != 0)
            continue;
        for (uintptr_t at = begin; at + secret->length <= end; at++)
            times += is_at(secret, (const unsigned char *)at) ? 1 : 0;
    }
    if (maps != NULL)
        fclose(maps);
    return times;
}

#endif
