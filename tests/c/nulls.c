/* Absent arguments and handles in the wrong state: each a defined error, or success where RFC 2744
 * lets an argument be absent. */
#include "common.h"
#include "handshake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child: the call may be the end of the process. */
#define GUARDED(label, call)                                                \
    do {                                                                    \
        int guarded_status = 0;                                             \
        pid_t guarded_child = fork();                                       \
                                                                            \
        if (guarded_child == 0) {                                           \
            SHOW(label, call);                                              \
            _exit(0);                                                       \
        }                                                                   \
        waitpid(guarded_child, &guarded_status, 0);                         \
        if (WIFSIGNALED(guarded_status))                                    \
            show(label ": killed by signal %d", WTERMSIG(guarded_status));  \
    } while (0)

static gss_buffer_desc text = {4, "text"};
static gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;

static void on_context(const char *title, gss_ctx_id_t context)
{
    OM_uint32 major, minor;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    gss_iov_buffer_desc iov = {GSS_IOV_BUFFER_TYPE_DATA, {0, NULL}};
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;

    show("== %s", title);
    SHOW("wrap, no message", gss_wrap(&minor, context, 1, 0, NULL, NULL, &out));
    SHOW("wrap, no output", gss_wrap(&minor, context, 1, 0, &text, NULL, NULL));
    SHOW("wrap, empty message", gss_wrap(&minor, context, 1, 0, &empty, NULL, &out));
    gss_release_buffer(&minor, &out);
    SHOW("wrap, wild qop", gss_wrap(&minor, context, 1, 12345, &text, NULL, &out));
    gss_release_buffer(&minor, &out);
    SHOW("unwrap, no token", gss_unwrap(&minor, context, NULL, &out, NULL, NULL));
    SHOW("unwrap, empty token", gss_unwrap(&minor, context, &empty, &out, NULL, NULL));
    SHOW("unwrap, junk", gss_unwrap(&minor, context, &text, &out, NULL, NULL));
    SHOW("get_mic, no message", gss_get_mic(&minor, context, 0, NULL, &out));
    SHOW("get_mic, no output", gss_get_mic(&minor, context, 0, &text, NULL));
    SHOW("verify_mic, no mic", gss_verify_mic(&minor, context, &text, NULL, NULL));
    SHOW("verify_mic, empty", gss_verify_mic(&minor, context, &text, &empty, NULL));
    SHOW("wrap_size_limit, no output", gss_wrap_size_limit(&minor, context, 1, 0, 100, NULL));
    SHOW("context_time, no output", gss_context_time(&minor, context, NULL));
    SHOW("wrap_iov, no buffers", gss_wrap_iov(&minor, context, 1, 0, NULL, &iov, 0));
    SHOW("wrap_iov, only empty data", gss_wrap_iov(&minor, context, 1, 0, NULL, &iov, 1));
    SHOW("unwrap_iov, only empty data", gss_unwrap_iov(&minor, context, NULL, NULL, &iov, 1));
    SHOW("inquire_context, nothing", gss_inquire_context(&minor, context, NULL, NULL, NULL, NULL,
                                                         NULL, NULL, NULL));
    SHOW("inquire by no OID", gss_inquire_sec_context_by_oid(&minor, context, NULL, &set));
    SHOW("inquire into nothing",
         gss_inquire_sec_context_by_oid(&minor, context, GSS_C_INQ_SSPI_SESSION_KEY, NULL));
    SHOW("pseudo_random, no seed", gss_pseudo_random(&minor, context, 0, NULL, 8, &out));
    gss_release_buffer(&minor, &out);
    SHOW("pseudo_random, nothing", gss_pseudo_random(&minor, context, 0, &text, 0, &out));
    gss_release_buffer(&minor, &out);
    SHOW("process_context_token, none", gss_process_context_token(&minor, context, NULL));
    SHOW("set option, no OID", gss_set_sec_context_option(&minor, &context, NULL, &text));
    SHOW("set option, no value",
         gss_set_sec_context_option(&minor, &context, mech_oid("unused"), NULL));
}

static void initiating(gss_name_t target)
{
    OM_uint32 major, minor;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    gss_OID mech = mech_oid(option("mech", "spnego"));

    show("== init_sec_context");
    SHOW("no target", gss_init_sec_context(&minor, NULL, &context, GSS_C_NO_NAME, mech, 0, 0, NULL,
                                           NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
    SHOW("no context", gss_init_sec_context(&minor, NULL, NULL, target, mech, 0, 0, NULL, NULL, NULL,
                                            &out, NULL, NULL));
    SHOW("no output", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL, NULL,
                                           NULL, NULL, NULL, NULL));
    gss_delete_sec_context(&minor, &context, NULL);
    SHOW("nothing optional", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL,
                                                  NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    on_context("an incomplete initiator", context);
    GUARDED("continued without a token",
            gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL, NULL, NULL, &out,
                                 NULL, NULL));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
    SHOW("an empty input", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL,
                                                &empty, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    SHOW("then junk", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL, &text,
                                           NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    show("  context: %s", context == GSS_C_NO_CONTEXT ? "none" : "there");
    SHOW("then another try", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 0, NULL,
                                                  &text, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
    SHOW("wild flags", gss_init_sec_context(&minor, NULL, &context, target, mech,
                                            0xffffffffu & ~(OM_uint32)GSS_C_ANON_FLAG &
                                                ~(OM_uint32)GSS_C_DCE_STYLE,
                                            0, NULL, NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
    SHOW("a lifetime of a second", gss_init_sec_context(&minor, NULL, &context, target, mech, 0, 1,
                                                        NULL, NULL, NULL, &out, NULL, NULL));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
}

static void accepting(void)
{
    static const char *const tokens[] = {
        "", "x", "\x60", "\x60\x80", "\x60\x08\x06\x06\x2b\x06\x01\x05\x05\x02",
        "\x60\x0a\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x00", "\xa1\x02\x30\x00",
        "\x60\x84\xff\xff\xff\xff\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x84\xff\xff\xff\xf0\x30",
    };
    /* Octets of 0 are among them. */
    static const size_t lengths[] = {0, 1, 1, 2, 10, 12, 4, 21};
    OM_uint32 major, minor;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;

    show("== accept_sec_context");
    SHOW("no token", gss_accept_sec_context(&minor, &context, NULL, NULL, NULL, NULL, NULL, &out,
                                            NULL, NULL, NULL));
    SHOW("no context", gss_accept_sec_context(&minor, NULL, NULL, &text, NULL, NULL, NULL, &out,
                                              NULL, NULL, NULL));
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        gss_buffer_desc token = {lengths[i], malloc(lengths[i] + 1)};
        char label[32];

        memcpy(token.value, tokens[i], lengths[i]);
        snprintf(label, sizeof(label), "token %zu", i);
        SHOW(label, gss_accept_sec_context(&minor, &context, NULL, &token, NULL, NULL, NULL, &out,
                                           NULL, NULL, NULL));
        show_token("  sends", &out);
        gss_release_buffer(&minor, &out);
        if (context != GSS_C_NO_CONTEXT && !GSS_ERROR(major))
            on_context("an incomplete acceptor", context);
        if (context != GSS_C_NO_CONTEXT)
            SHOW("  again", gss_accept_sec_context(&minor, &context, NULL, &token, NULL, NULL, NULL,
                                                   &out, NULL, NULL, NULL));
        gss_release_buffer(&minor, &out);
        gss_delete_sec_context(&minor, &context, NULL);
        free(token.value);
    }
}

static void credentials(void)
{
    OM_uint32 major, minor;
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set spnego = mech_set(option("mech", "spnego")), none = mech_set("");
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    gss_name_t name = imported("user@SPNEGO.TEST", "principal");

    show("== credentials");
    SHOW("acquire into nothing", gss_acquire_cred(&minor, NULL, 0, spnego, GSS_C_INITIATE, NULL,
                                                  NULL, NULL));
    SHOW("acquire for no mechanism", gss_acquire_cred(&minor, NULL, 0, none, GSS_C_INITIATE, &cred,
                                                      NULL, NULL));
    gss_release_cred(&minor, &cred);
    SHOW("acquire with a wild usage", gss_acquire_cred(&minor, NULL, 0, spnego, 77, &cred, NULL,
                                                       NULL));
    SHOW("acquire with no password", gss_acquire_cred_with_password(&minor, name, NULL, 0, spnego,
                                                                    GSS_C_INITIATE, &cred, NULL,
                                                                    NULL));
    SHOW("acquire with an empty password", gss_acquire_cred_with_password(&minor, name, &empty, 0,
                                                                          spnego, GSS_C_INITIATE,
                                                                          &cred, NULL, NULL));
    gss_release_cred(&minor, &cred);
    SHOW("acquire", gss_acquire_cred(&minor, NULL, 0, spnego, GSS_C_INITIATE, &cred, NULL, NULL));
    SHOW("impersonate nobody", gss_acquire_cred_impersonate_name(&minor, cred, NULL, 0, spnego,
                                                                 GSS_C_INITIATE, NULL, NULL, NULL));
    SHOW("set_neg_mechs, none", gss_set_neg_mechs(&minor, cred, none));
    SHOW("set_neg_mechs, no set", gss_set_neg_mechs(&minor, cred, NULL));
    SHOW("inquire by no OID", gss_inquire_cred_by_oid(&minor, cred, NULL, &set));
    SHOW("set option, no OID", gss_set_cred_option(&minor, &cred, NULL, &text));
    SHOW("set option, no value", gss_set_cred_option(&minor, &cred, mech_oid("unused"), NULL));
    SHOW("export into nothing", gss_export_cred(&minor, cred, NULL));
    SHOW("release", gss_release_cred(&minor, &cred));
    SHOW("release again", gss_release_cred(&minor, &cred));
    gss_release_oid_set(&minor, &spnego);
    gss_release_oid_set(&minor, &none);
    gss_release_name(&minor, &name);
}

int main(int argc, char **argv)
{
    struct handshake handshake = {.mech = mech_oid(option("mech", "spnego")), .flags = GSS_C_MUTUAL_FLAG};
    OM_uint32 minor;

    take_options(argc, argv);
    handshake.target = imported("HTTP@localhost", "hostbased");
    initiating(handshake.target);
    accepting();
    credentials();
    if (!shake_hands(&handshake))
        stop("no handshake");
    on_context("an established initiator", handshake.initiator);
    on_context("an established acceptor", handshake.acceptor);
    end_handshake(&handshake);
    gss_release_name(&minor, &handshake.target);
    show_plugin();
    return 0;
}
