/* What the policy in force makes of first legs: each line on standard input is an order, and is
 * answered on standard output at once. The one argument, if any, is the mechanism, without SPNEGO.
 *
 *   TARGET            the first leg of an initiator to it, in a context of its own
 *   token TARGET      the same, and the token in hexadecimal digits
 *   begin TARGET      the same, in a context that is kept
 *   held              whether the context that is kept still takes a second leg by the rules it began
 *                     with: it is fed an answer that completes it, and what comes of it is shown
 *   fork TARGET       the first leg in a child process
 *   set NAME VALUE    an environment variable; without a value, to nothing
 *   unset NAME        the same, away
 *   acquire USAGE     a default credential to initiate, to accept, or for both
 *   keep USAGE        the same, which is kept, and with which contexts begin from now on
 *   load              the library reads its configuration of mechanisms
 *   chroot DIRECTORY  the process goes there; the process must be root's
 *   files N           the process may have N open files
 *   threads N TARGET  that many threads with a hundred first legs each; how many of them failed
 */
#include "common.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEGS = 100, MOST_THREADS = 16 };

static gss_OID mech;

/* What contexts begin with. */
static gss_cred_id_t held = GSS_C_NO_CREDENTIAL;

static OM_uint32 leg(const char *target, gss_ctx_id_t *context, gss_buffer_t input,
                     gss_buffer_t token, OM_uint32 *minor)
{
    gss_name_t name = imported(target, "hostbased");
    OM_uint32 ignored, major;

    major = gss_init_sec_context(minor, held, context, name, mech, 0, 0, NULL, input, NULL, token,
                                 NULL, NULL);
    gss_release_name(&ignored, &name);
    return major;
}

static void try(const char *target)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor = 0, ignored, major = leg(target, &context, GSS_C_NO_BUFFER, &token, &minor);

    show_status(target, major, minor, mech);
    if (!GSS_ERROR(major))
        show_token("  sends", &token);
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &context, NULL);
}

static void *many(void *target)
{
    size_t failed = 0;

    for (int i = 0; i < LEGS; i++) {
        gss_ctx_id_t context = GSS_C_NO_CONTEXT;
        gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
        OM_uint32 minor = 0, ignored;

        failed += GSS_ERROR(leg(target, &context, GSS_C_NO_BUFFER, &token, &minor)) != 0;
        gss_release_buffer(&ignored, &token);
        gss_delete_sec_context(&ignored, &context, NULL);
    }
    return (void *)failed;
}

static void in_threads(int count, char *target)
{
    pthread_t threads[MOST_THREADS];
    size_t failed = 0;

    if (count < 1 || count > MOST_THREADS)
        stop("1 to %d threads", MOST_THREADS);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, many, target);
    for (int i = 0; i < count; i++) {
        void *of_one = NULL;

        pthread_join(threads[i], &of_one);
        failed += (size_t)of_one;
    }
    show("threads: %zu failed", failed);
}

static void in_child(const char *target)
{
    pid_t child;

    fflush(report);
    child = fork();
    if (child == 0) {
        try(target);
        fflush(report);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static gss_cred_id_t acquire(const char *usage)
{
    gss_OID_set_desc mechs = {1, mech};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor = 0, major;
    gss_cred_usage_t wanted = strcmp(usage, "initiate") == 0 ? GSS_C_INITIATE
                              : strcmp(usage, "accept") == 0 ? GSS_C_ACCEPT
                                                             : GSS_C_BOTH;

    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, wanted, &cred, NULL,
                             NULL);
    show_status(usage, major, minor, mech);
    return cred;
}

static void limit_files(int count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        stop("getrlimit");
    limit.rlim_cur = (rlim_t)count;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        stop("setrlimit");
}

int main(int argc, char **argv)
{
    gss_ctx_id_t kept = GSS_C_NO_CONTEXT;
    char order[2048], name[1024], target[1024];
    OM_uint32 minor = 0, ignored, major;
    int count;

    report = stdout;
    mech = mech_oid(argc > 1 ? argv[1] : "spnego");
    while (fgets(order, sizeof(order), stdin) != NULL) {
        gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

        order[strcspn(order, "\n")] = '\0';
        if (sscanf(order, "fork %1023s", target) == 1) {
            in_child(target);
        } else if (strcmp(order, "load") == 0) {
            gss_OID_set mechs = GSS_C_NO_OID_SET;

            gss_indicate_mechs(&minor, &mechs);
            gss_release_oid_set(&ignored, &mechs);
        } else if (sscanf(order, "chroot %1023s", target) == 1) {
            if (chroot(target) != 0 || chdir("/") != 0)
                stop("chroot %s", target);
        } else if (sscanf(order, "files %d", &count) == 1) {
            limit_files(count);
        } else if (sscanf(order, "set %1023s %1023s", name, target) == 2) {
            setenv(name, target, 1);
        } else if (sscanf(order, "set %1023s", name) == 1) {
            setenv(name, "", 1);
        } else if (sscanf(order, "unset %1023s", name) == 1) {
            unsetenv(name);
        } else if (sscanf(order, "acquire %1023s", target) == 1) {
            gss_cred_id_t cred = acquire(target);

            gss_release_cred(&ignored, &cred);
        } else if (sscanf(order, "keep %1023s", target) == 1) {
            gss_release_cred(&ignored, &held);
            held = acquire(target);
        } else if (sscanf(order, "threads %d %1023s", &count, target) == 2) {
            in_threads(count, target);
        } else if (sscanf(order, "token %1023s", target) == 1) {
            gss_ctx_id_t context = GSS_C_NO_CONTEXT;

            major = leg(target, &context, GSS_C_NO_BUFFER, &token, &minor);
            show_status(target, major, minor, mech);
            for (size_t i = 0; i < token.length; i++)
                fprintf(report, "%02x", ((unsigned char *)token.value)[i]);
            fprintf(report, "\n");
            gss_delete_sec_context(&ignored, &context, NULL);
        } else if (sscanf(order, "begin %1023s", target) == 1) {
            major = leg(target, &kept, GSS_C_NO_BUFFER, &token, &minor);
            show_status("begin", major, minor, mech);
        } else if (strcmp(order, "held") == 0) {
            /* A NegTokenResp that says accept-completed to the mechanism whose token was sent. */
            gss_buffer_desc answer = {9, "\xa1\x07\x30\x05\xa0\x03\x0a\x01\x00"};

            major = leg(target, &kept, &answer, &token, &minor);
            show_status("held", major, minor, mech);
        } else {
            try(order);
        }
        gss_release_buffer(&ignored, &token);
        show("done");
        fflush(report);
    }
    gss_delete_sec_context(&ignored, &kept, NULL);
    gss_release_cred(&ignored, &held);
    return 0;
}
