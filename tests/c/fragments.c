/* One end of a negotiation, fed by hand.
 *
 *   fragments initiator|acceptor ACTION...     in their order:
 *   acquire          a credential for SPNEGO
 *   cred=SIZE        the maximum output token size of that credential
 *   context=SIZE     of the context; either also as hex:OCTETS, the option's value as it stands
 *   feed=HEX         call init or accept with these octets
 *   feed=HEX*COUNT   COUNT times in a row; only the last outcome is shown
 *   feed             call it with the empty token
 *   feed=null        call it with GSS_C_NO_BUFFER
 *   hex              show outputs as octets from here on
 *   heap             show by how many KiB what is allocated has grown since the first action
 *   delete           the context
 *
 * mech=, target= as for pair. */
#include "common.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static gss_OID_desc size_option = {7, "\x69\x8e\xfa\x86\xc7\x1c\x01"};

struct end {
    int initiator;
    gss_cred_id_t cred;
    gss_ctx_id_t context;
    gss_name_t target;
    int hex;
    int leg;
};

static size_t octets_of(const char *hex, size_t digits, unsigned char *octets)
{
    size_t length;

    for (length = 0; length < digits / 2; length++) {
        unsigned octet;

        if (sscanf(hex + 2 * length, "%2x", &octet) != 1)
            stop("not hexadecimal: %s", hex);
        octets[length] = (unsigned char)octet;
    }
    return length;
}

static void show_output(const struct end *end, const gss_buffer_desc *output)
{
    show("  output: %zu octets", output->length);
    if (!end->hex || output->length == 0)
        return;
    char *text = malloc(2 * output->length + 1);
    for (size_t i = 0; i < output->length; i++)
        sprintf(text + 2 * i, "%02x", ((unsigned char *)output->value)[i]);
    show("  octets: %s", text);
    free(text);
}

static void step(struct end *end, gss_buffer_t input, int shown)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    char label[32];

    if (end->initiator)
        major = gss_init_sec_context(&minor, end->cred, &end->context, end->target,
                                     mech_oid(option("mech", "spnego")), GSS_C_MUTUAL_FLAG, 0, NULL,
                                     input, NULL, &output, NULL, NULL);
    else
        major = gss_accept_sec_context(&minor, &end->context, end->cred, input, NULL, NULL, NULL,
                                       &output, NULL, NULL, NULL);
    end->leg++;
    if (shown || GSS_ERROR(major)) {
        snprintf(label, sizeof(label), "leg %d", end->leg);
        show_status(label, major, minor, GSS_C_NO_OID);
        show_output(end, &output);
    }
    gss_release_buffer(&ignored, &output);
}

static void feed(struct end *end, const char *hex)
{
    const char *star = strchr(hex, '*');
    size_t digits = star == NULL ? strlen(hex) : (size_t)(star - hex);
    long count = star == NULL ? 1 : atol(star + 1);
    /* Exactly as long as the token, so that a memory checker sees the first octet read too far. */
    unsigned char *octets = malloc(digits / 2 == 0 ? 1 : digits / 2);
    gss_buffer_desc input = {octets_of(hex, digits, octets), octets};

    for (long i = 0; i < count; i++)
        step(end, &input, i == count - 1);
    free(octets);
}

static void set_size(struct end *end, const char *value, int of_context)
{
    unsigned char octets[64];
    OM_uint32 major, minor, size;
    gss_buffer_desc buffer = {sizeof(size), &size};

    if (strncmp(value, "hex:", 4) == 0) {
        if (strlen(value) > 4 + 2 * sizeof(octets))
            stop("too long: %s", value);
        buffer.length = octets_of(value + 4, strlen(value + 4), octets);
        buffer.value = octets;
    } else {
        size = (OM_uint32)strtoul(value, NULL, 10);
    }
    if (of_context)
        SHOW("context option",
             gss_set_sec_context_option(&minor, &end->context, &size_option, &buffer));
    else
        SHOW("cred option", gss_set_cred_option(&minor, &end->cred, &size_option, &buffer));
}

static void act(struct end *end, const char *action)
{
    static size_t heap_before;
    OM_uint32 major, minor;

    if (heap_before == 0)
        heap_before = mallinfo2().uordblks + mallinfo2().hblkhd;
    if (strcmp(action, "acquire") == 0) {
        gss_OID_set mechs = mech_set(option("mech", "spnego"));

        SHOW("acquire",
             gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, mechs,
                              end->initiator ? GSS_C_INITIATE : GSS_C_ACCEPT, &end->cred, NULL,
                              NULL));
        gss_release_oid_set(&minor, &mechs);
    } else if (strncmp(action, "cred=", 5) == 0) {
        set_size(end, action + 5, 0);
    } else if (strncmp(action, "context=", 8) == 0) {
        set_size(end, action + 8, 1);
    } else if (strcmp(action, "feed=null") == 0) {
        step(end, GSS_C_NO_BUFFER, 1);
    } else if (strcmp(action, "feed") == 0) {
        feed(end, "");
    } else if (strncmp(action, "feed=", 5) == 0) {
        feed(end, action + 5);
    } else if (strcmp(action, "hex") == 0) {
        end->hex = 1;
    } else if (strcmp(action, "heap") == 0) {
        size_t now = mallinfo2().uordblks + mallinfo2().hblkhd;

        show("heap: %zu KiB", now > heap_before ? (now - heap_before) / 1024 : 0);
    } else if (strcmp(action, "delete") == 0) {
        SHOW("delete", gss_delete_sec_context(&minor, &end->context, NULL));
    } else if (strncmp(action, "mech=", 5) != 0 && strncmp(action, "target=", 7) != 0) {
        stop("unknown action %s", action);
    }
}

int main(int argc, char **argv)
{
    struct end end = {0};
    OM_uint32 minor;

    take_options(argc, argv);
    if (argc < 2)
        stop("fragments initiator|acceptor ACTION...");
    end.initiator = strcmp(argv[1], "initiator") == 0;
    if (end.initiator)
        end.target = imported(option("target", "HTTP@localhost"), "hostbased");
    for (int i = 2; i < argc; i++)
        act(&end, argv[i]);
    show_plugin();
    gss_delete_sec_context(&minor, &end.context, NULL);
    gss_release_cred(&minor, &end.cred);
    gss_release_name(&minor, &end.target);
    return 0;
}
