/* A process with threads, or that forks, around contexts of SPNEGO.
 *
 *   threads   32 threads, each with handshakes and messages of its own, and failures; then two
 *             threads on one context, one for each direction
 *   fork      a handshake before a fork, one after it in both, and messages on the first in both
 */
#include "common.h"
#include "handshake.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 32, HANDSHAKES = 4, MESSAGES = 500 };

static gss_name_t target;
static gss_cred_id_t initiator_cred, acceptor_cred;

static struct handshake prepared(void)
{
    return (struct handshake){.target = target,
                              .mech = mech_oid("spnego"),
                              .flags = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG};
}

static void *own_handshakes(void *unused)
{
    size_t failed = 0;

    (void)unused;
    for (int i = 0; i < HANDSHAKES; i++) {
        struct handshake handshake = prepared();

        if (i % 2 == 1) {
            handshake.initiator_cred = initiator_cred;
            handshake.acceptor_cred = acceptor_cred;
        }
        if (!shake_hands(&handshake) || !messages_pass(&handshake))
            failed++;
        end_handshake(&handshake);
    }
    return (void *)failed;
}

/* Failures and their text, on many threads at once. */
static void *own_failures(void *unused)
{
    size_t failed = 0;
    OM_uint32 minor;
    gss_name_t nobody = imported("nobody@localhost", "hostbased");

    (void)unused;
    for (int i = 0; i < HANDSHAKES; i++) {
        struct handshake handshake = prepared();
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
        OM_uint32 more = 0;

        handshake.target = nobody;
        if (shake_hands(&handshake))
            failed++;
        gss_display_status(&minor, handshake.initiator_minor, GSS_C_MECH_CODE, mech_oid("spnego"),
                           &more, &text);
        if (text.length == 0)
            failed++;
        gss_release_buffer(&minor, &text);
        end_handshake(&handshake);
    }
    gss_release_name(&minor, &nobody);
    return (void *)failed;
}

/* One direction of a context's messages. The library's Kerberos contexts do not bear two threads
 * that make (or read) messages at once, but one that makes them beside one that reads them. */
struct direction {
    gss_ctx_id_t from, to;
};

static void *one_way(void *argument)
{
    struct direction *direction = argument;
    gss_buffer_desc text = text_buffer("message");
    size_t failed = 0;
    OM_uint32 minor;

    for (int i = 0; i < MESSAGES; i++) {
        gss_buffer_desc wrapped = GSS_C_EMPTY_BUFFER, plain = GSS_C_EMPTY_BUFFER;

        if (gss_wrap(&minor, direction->from, 1, 0, &text, NULL, &wrapped) != GSS_S_COMPLETE ||
            gss_unwrap(&minor, direction->to, &wrapped, &plain, NULL, NULL) != GSS_S_COMPLETE ||
            !same_buffer(&text, &plain))
            failed++;
        gss_release_buffer(&minor, &wrapped);
        gss_release_buffer(&minor, &plain);
    }
    return (void *)failed;
}

static void both_ways(void)
{
    struct handshake handshake = prepared();
    struct direction directions[2];
    pthread_t threads[2];
    size_t failed = 0;

    if (!shake_hands(&handshake) || !messages_pass(&handshake))
        stop("no handshake");
    directions[0] = (struct direction){handshake.initiator, handshake.acceptor};
    directions[1] = (struct direction){handshake.acceptor, handshake.initiator};
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, one_way, &directions[i]) != 0)
            stop("no thread");
    }
    for (int i = 0; i < 2; i++) {
        void *of_thread;

        pthread_join(threads[i], &of_thread);
        failed += (size_t)of_thread;
    }
    show("messages both ways: %zu failed", failed);
    end_handshake(&handshake);
}

static void in_threads(const char *label, void *(*work)(void *))
{
    pthread_t threads[THREADS];
    size_t failed = 0;

    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            stop("no thread");
    }
    for (int i = 0; i < THREADS; i++) {
        void *of_thread;

        pthread_join(threads[i], &of_thread);
        failed += (size_t)of_thread;
    }
    show("%s: %zu failed", label, failed);
}

static void threads(void)
{
    in_threads("handshakes", own_handshakes);
    in_threads("failures", own_failures);
    both_ways();
}

static void after_fork(const char *who, struct handshake *before)
{
    struct handshake handshake = prepared();

    show("%s: contexts from before: %s", who, messages_pass(before) ? "messages pass" : "fail");
    show("%s: a new handshake: %s", who, shake_hands(&handshake) ? "established" : "fails");
    show("%s: its messages: %s", who, messages_pass(&handshake) ? "pass" : "fail");
    end_handshake(&handshake);
    end_handshake(before);
}

static void forks(void)
{
    struct handshake before = prepared();
    int status = 0;
    pid_t child;

    if (!shake_hands(&before))
        stop("no handshake");
    child = fork();
    if (child == 0) {
        after_fork("child", &before);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show("child: status %d", status);
    after_fork("parent", &before);
}

int main(int argc, char **argv)
{
    gss_OID_set mechs = mech_set("spnego");
    OM_uint32 minor;

    take_options(argc, argv);
    target = imported("HTTP@localhost", "hostbased");
    if (argc > 1 && strcmp(argv[1], "fork-first") == 0) {
        /* The library is first used after the fork, in both. */
        struct handshake handshake = prepared();
        int status = 0;
        pid_t child = fork();

        show("%s: %s", child == 0 ? "child" : "parent",
             shake_hands(&handshake) ? "established" : "fails");
        end_handshake(&handshake);
        if (child == 0)
            _exit(0);
        waitpid(child, &status, 0);
        gss_release_name(&minor, &target);
        gss_release_oid_set(&minor, &mechs);
        return status;
    }
    MUST("acquire", gss_acquire_cred(&minor, NULL, 0, mechs, GSS_C_INITIATE, &initiator_cred, NULL,
                                     NULL));
    MUST("acquire", gss_acquire_cred(&minor, NULL, 0, mechs, GSS_C_ACCEPT, &acceptor_cred, NULL,
                                     NULL));
    gss_release_oid_set(&minor, &mechs);
    if (argc > 1 && strcmp(argv[1], "fork") == 0)
        forks();
    else
        threads();
    gss_release_cred(&minor, &initiator_cred);
    gss_release_cred(&minor, &acceptor_cred);
    gss_release_name(&minor, &target);
    show_plugin();
    return 0;
}
