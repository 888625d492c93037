/* Handshakes in one process with tokens altered on the way, the same ones in every run.
 *
 * Options: count=10000, seed=1, mechs=krb5 | ntlmssp | script (script-a and script-b, both known to
 * both),
 * early=yes (an unfinished context may make messages, as the built-in's does once its mechanism is
 * established).
 *
 * Checked in each: no crash; a context that is not established makes no message; two ends that are
 * established can talk to each other, if each has heard the other (Kerberos without mutual
 * authentication has not: an older token in the place of the new one is as good); and when they are
 * established with another mechanism than the first offered, the list of mechanisms arrived as it
 * was sent. At the end: memory in use has not grown with the number of handshakes. */
#include "common.h"
#include "handshake.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What the libraries' caches may still grow by. Eight octets lost in each of ten thousand
 * handshakes are more. */
enum { CACHES = 64 * 1024 };

static uint64_t state;

static uint32_t random_below(uint32_t limit)
{
    /* xorshift64*, for the same alterations on every machine. */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 33) % (limit == 0 ? 1 : limit);
}

struct journey {
    /* The token to alter, and how often. */
    int which, changes;
    /* The first token as sent and as it arrived. */
    gss_buffer_desc sent, arrived;
};

static gss_buffer_desc last_seen;

static gss_buffer_desc copy_of(const gss_buffer_desc *octets)
{
    gss_buffer_desc copy = {octets->length, malloc(octets->length + 1)};

    if (octets->length > 0)
        memcpy(copy.value, octets->value, octets->length);
    return copy;
}

static void resize(gss_buffer_t token, size_t at, size_t remove, size_t add)
{
    unsigned char *old = token->value;
    size_t length = token->length - remove + add;
    unsigned char *new = malloc(length + 1);

    if (at > 0)
        memcpy(new, old, at);
    for (size_t i = 0; i < add; i++)
        new[at + i] = (unsigned char)random_below(256);
    if (token->length > at + remove)
        memcpy(new + at + add, old + at + remove, token->length - at - remove);
    free(old);
    token->value = new;
    token->length = length;
}

static void change(gss_buffer_t token)
{
    /* Half the time among the first octets, where the structure is. */
    uint32_t length = (uint32_t)token->length;
    uint32_t reach = random_below(2) == 0 && length > 64 ? 64 : length;
    uint32_t at = random_below(reach);
    unsigned char *octets = token->value;
    static const unsigned char telling[] = {0,    1,    2,    3,    0x7f, 0x80, 0x84, 0xff,
                                            0x30, 0x60, 0xa0, 0xa1, 0xa2, 0xa3, 0x06, 0x04};

    if (length == 0) {
        resize(token, 0, 0, random_below(20));
        return;
    }
    switch (random_below(10)) {
    case 0:
    case 1:
    case 2:
        octets[at] ^= (unsigned char)(1u << random_below(8));
        break;
    case 3:
    case 4:
        octets[at] = telling[random_below(sizeof(telling))];
        break;
    case 5:
        resize(token, at, 0, 1 + random_below(8));
        break;
    case 6: {
        uint32_t count = 1 + random_below(8);

        resize(token, at, count < length - at ? count : length - at, 0);
        break;
    }
    case 7:
        token->length = at;
        break;
    case 8:
        resize(token, length, 0, 1 + random_below(40));
        break;
    default:
        /* Another token, of this handshake or an earlier one. */
        free(token->value);
        *token = copy_of(&last_seen);
    }
}

static void on_the_way(gss_buffer_t token, int from_initiator, int which, void *caller)
{
    struct journey *journey = caller;
    gss_buffer_desc original = copy_of(token);

    (void)from_initiator;
    if (which == 0)
        journey->sent = copy_of(token);
    if (which == journey->which) {
        for (int i = 0; i < journey->changes; i++)
            change(token);
        /* gss_release_buffer leaves an empty buffer's memory alone. */
        if (token->length == 0) {
            free(token->value);
            token->value = NULL;
        }
    }
    if (which == 0)
        journey->arrived = copy_of(token);
    free(last_seen.value);
    last_seen = original;
}

/* The DER of the list of mechanisms in a token that this side made, from its first mechanism on. */
static int list_arrived(const struct journey *journey)
{
    static const unsigned char list[] = {0x06, 0x04, 0x69, 0xb9, 0x05, 0x01,
                                         0x06, 0x04, 0x69, 0xb9, 0x05, 0x02};
    unsigned char whole[sizeof(list) + 2] = {0x30, sizeof(list)};
    const unsigned char *arrived = journey->arrived.value;

    memcpy(whole + 2, list, sizeof(list));
    for (size_t at = 0; at + sizeof(whole) <= journey->arrived.length; at++) {
        if (memcmp(arrived + at, whole, sizeof(whole)) == 0)
            return 1;
    }
    return 0;
}

static const char *mech_of(gss_ctx_id_t context)
{
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 minor;

    MUST("inquire_context",
         gss_inquire_context(&minor, context, NULL, NULL, NULL, &mech, NULL, NULL, NULL));
    return mech_text(mech);
}

/* A context that is not established must do nothing, and be deleted without harm. */
static void check_failed(const char *who, gss_ctx_id_t context, OM_uint32 major)
{
    gss_buffer_desc text = text_buffer("message"), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    if (major == GSS_S_COMPLETE || strcmp(option("early", "no"), "yes") == 0)
        return;
    if (gss_get_mic(&minor, context, 0, &text, &out) == GSS_S_COMPLETE)
        stop("the %s made a MIC with a context that is not established", who);
    if (gss_wrap(&minor, context, 0, 0, &text, NULL, &out) == GSS_S_COMPLETE)
        stop("the %s wrapped with a context that is not established", who);
}

static size_t in_use(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static gss_cred_id_t limited_to(const char *mechs, gss_cred_usage_t usage)
{
    gss_OID_set spnego = mech_set("spnego"), neg = mech_set(mechs);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;

    MUST("acquire", gss_acquire_cred(&minor, NULL, 0, spnego, usage, &cred, NULL, NULL));
    MUST("set_neg_mechs", gss_set_neg_mechs(&minor, cred, neg));
    gss_release_oid_set(&minor, &spnego);
    gss_release_oid_set(&minor, &neg);
    return cred;
}

int main(int argc, char **argv)
{
    const char *mechs;
    int scripts, tokens, count, measured, both = 0, one = 0, none = 0;
    const char *initiators[] = {"script-a,script-b", "script-a"};
    const char *acceptors[] = {"script-a,script-b", "script-b"};
    gss_cred_id_t initiator_creds[2], acceptor_creds[2];
    size_t memory = 0;
    gss_name_t target;
    OM_uint32 minor;

    take_options(argc, argv);
    mechs = option("mechs", "krb5");
    scripts = strcmp(mechs, "script") == 0;
    tokens = strcmp(mechs, "krb5") == 0 ? 2 : 4;
    count = atoi(option("count", "10000"));
    measured = count / 5;
    state = strtoull(option("seed", "1"), NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    target = imported("HTTP@localhost", "hostbased");
    for (int i = 0; i < 2; i++) {
        initiator_creds[i] = limited_to(scripts ? initiators[i] : mechs, GSS_C_INITIATE);
        acceptor_creds[i] = limited_to(scripts ? acceptors[i] : mechs, GSS_C_ACCEPT);
    }
    for (int i = 0; i < count; i++) {
        struct journey journey = {.which = (int)random_below((uint32_t)tokens),
                                  .changes = (int)random_below(4)};
        struct handshake handshake = {.target = target,
                                      .mech = mech_oid("spnego"),
                                      .flags = random_below(2) ? GSS_C_MUTUAL_FLAG : 0,
                                      .initiator_cred = initiator_creds[0],
                                      .acceptor_cred = acceptor_creds[random_below(2)],
                                      .on_the_way = on_the_way,
                                      .caller = &journey};

        if (i == measured)
            memory = in_use();
        if (shake_hands(&handshake)) {
            both++;
            if ((tokens > 2 || handshake.flags != 0) && !messages_pass(&handshake))
                stop("handshake %d: both ends are established and cannot talk", i);
            if (strcmp(mech_of(handshake.initiator), mech_of(handshake.acceptor)) != 0)
                stop("handshake %d: the ends disagree about their mechanism", i);
            if (strcmp(mech_of(handshake.acceptor), "script-b") == 0 && !list_arrived(&journey))
                stop("handshake %d: a changed list of mechanisms led to the second one", i);
        } else if (handshake.initiator_major == GSS_S_COMPLETE ||
                   handshake.acceptor_major == GSS_S_COMPLETE) {
            one++;
        } else {
            none++;
        }
        check_failed("initiator", handshake.initiator, handshake.initiator_major);
        check_failed("acceptor", handshake.acceptor, handshake.acceptor_major);
        end_handshake(&handshake);
        free(journey.sent.value);
        free(journey.arrived.value);
    }
    show("handshakes: %d established: %d of one end: %d of none: %d", count, both, one, none);
    memory = in_use() > memory ? in_use() - memory : 0;
    show("memory: %s", memory < CACHES ? "bounded" : "grows");
    if (memory >= CACHES)
        show("minor: %zu octets more after %d handshakes", memory, count - measured);
    free(last_seen.value);
    for (int i = 0; i < 2; i++) {
        gss_release_cred(&minor, &initiator_creds[i]);
        gss_release_cred(&minor, &acceptor_creds[i]);
    }
    gss_release_name(&minor, &target);
    show_plugin();
    return 0;
}
