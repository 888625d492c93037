/* Contexts of an acceptor of our own NTLM that have been challenged and no more: what each costs, how
 * often the file of users is opened, and what of it is in memory.
 *
 *   half_open CONTEXTS FILE HASH OTHER SECOND   HASH is another user's of the file, masked as in
 *                                        memory.h; OTHER takes the file's place half-way, in which
 *                                        that user has the hash SECOND
 */
#include "common.h"
#include "handshake.h"
#include "memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { MOST = 1000 };

static struct handshake pairs[MOST];
static gss_buffer_desc tokens[MOST];

/* How often the file was opened since this was asked last. */
static size_t opened(int watch)
{
    char events[4096];
    size_t times = 0;
    ssize_t length;

    while ((length = read(watch, events, sizeof(events))) > 0) {
        for (char *at = events; at < events + length;) {
            struct inotify_event event;

            memcpy(&event, at, sizeof(event));
            times += (event.mask & IN_OPEN) != 0 ? 1 : 0;
            at += sizeof(event) + event.len;
        }
    }
    return times;
}

static int watched(const char *file)
{
    int watch = inotify_init1(IN_NONBLOCK);

    if (watch < 0 || inotify_add_watch(watch, file, IN_OPEN) < 0)
        stop("inotify: %s", file);
    return watch;
}

/* Initiate, or answer, with what the other end said. */
static OM_uint32 initiate(struct handshake *pair, gss_buffer_t token)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    major = gss_init_sec_context(&minor, pair->initiator_cred, &pair->initiator, pair->target,
                                 pair->mech, pair->flags, 0, GSS_C_NO_CHANNEL_BINDINGS, token, NULL,
                                 &output, NULL, NULL);
    gss_release_buffer(&minor, token);
    *token = output;
    return major;
}

static OM_uint32 accept_token(struct handshake *pair, gss_buffer_t token)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    major = gss_accept_sec_context(&minor, &pair->acceptor, GSS_C_NO_CREDENTIAL, token,
                                   GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &output, NULL, NULL,
                                   NULL);
    gss_release_buffer(&minor, token);
    *token = output;
    return major;
}

/* How many of these contexts are established by what comes next. */
static size_t finish(size_t begin, size_t end)
{
    size_t done = 0;

    for (size_t i = begin; i < end; i++) {
        if (GSS_ERROR(initiate(&pairs[i], &tokens[i])))
            continue;
        done += accept_token(&pairs[i], &tokens[i]) == GSS_S_COMPLETE ? 1 : 0;
    }
    return done;
}

int main(int argc, char **argv)
{
    size_t contexts = argc == 6 ? strtoul(argv[1], NULL, 10) : 0, before, after, done;
    struct masked first, second;
    struct handshake pair = {.target = imported("HTTP@localhost", "hostbased"),
                             .mech = mech_oid("spnego"),
                             .flags = GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG};
    gss_OID_set_desc spnego = {1, pair.mech};
    OM_uint32 minor;
    int watch;

    take_options(argc, argv);
    if (contexts < 2 || contexts > MOST)
        stop("half_open CONTEXTS FILE HASH OTHER SECOND");
    first = masked(argv[3]);
    second = masked(argv[5]);
    MUST("acquire", gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &spnego, GSS_C_INITIATE,
                                     &pair.initiator_cred, NULL, NULL));
    pairs[0] = pair;
    show("first: %s", shake_hands(&pairs[0]) ? "established" : "failed");
    end_handshake(&pairs[0]);
    for (size_t i = 0; i < contexts; i++) {
        pairs[i] = pair;
        if (initiate(&pairs[i], &tokens[i]) != GSS_S_CONTINUE_NEEDED)
            stop("initiator");
    }

    watch = watched(argv[2]);
    /* The first one looks whether there is anybody. */
    if (accept_token(&pairs[0], &tokens[0]) != GSS_S_CONTINUE_NEEDED)
        stop("acceptor");
    show("looked for anybody: %zu", opened(watch));
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (size_t i = 1; i < contexts; i++) {
        before -= malloc_usable_size(tokens[i].value);
        if (accept_token(&pairs[i], &tokens[i]) != GSS_S_CONTINUE_NEEDED)
            stop("acceptor");
        before += malloc_usable_size(tokens[i].value);
    }
    after = mallinfo2().uordblks + mallinfo2().hblkhd;
    show("octets a context: %zu", (after - before) / (contexts - 1));
    show("half-open: opened %zu, hash %s", opened(watch), found(&first) > 0 ? "found" : "not found");

    done = finish(0, contexts / 2);
    show("established: %zu, opened %zu, hash %s", done, opened(watch),
         found(&first) > 0 ? "found" : "not found");
    close(watch);
    if (rename(argv[4], argv[2]) != 0)
        stop("rename");
    watch = watched(argv[2]);
    done = finish(contexts / 2, contexts - 1);
    show("of the other file: %zu, opened %zu, hash %s, new one %s", done, opened(watch),
         found(&first) > 0 ? "found" : "not found", found(&second) > 0 ? "found" : "not found");
    close(watch);
    gss_delete_sec_context(&minor, &pairs[contexts - 1].acceptor, NULL);
    show("afterwards: hash %zu, new one %zu", found(&first), found(&second));

    for (size_t i = 0; i < contexts; i++) {
        end_handshake(&pairs[i]);
        gss_release_buffer(&minor, &tokens[i]);
    }
    gss_release_cred(&minor, &pair.initiator_cred);
    gss_release_name(&minor, &pair.target);
    return 0;
}
