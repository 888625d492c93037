/*
 * Everything that can be asked of a context, whatever state it has been left in.
 *
 *   questions
 *
 * Each line of standard input is a conversation: "accept" or "init", and the peer's tokens in
 * hexadecimal. After each token every function that takes a context is called on what there is.
 * Prints how each conversation ended.
 */
#include "common.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static gss_OID_desc spnego = {6, "\x2b\x06\x01\x05\x05\x02"};
/* Is a mechListMIC mandatory? */
static gss_OID_desc demands_mic = {11, "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x02"};

/* Nothing may come of any of these on a context that is not established. */
static void ask_everything(gss_ctx_id_t *context)
{
    gss_buffer_desc message = {5, "hello"}, output = GSS_C_EMPTY_BUFFER;
    gss_iov_buffer_desc iov[2] = {
        {GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, GSS_C_EMPTY_BUFFER},
        {GSS_IOV_BUFFER_TYPE_DATA, {5, (char[]){"hello"}}},
    };
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    gss_name_t source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 minor, number;
    gss_OID mech;
    int is, was;

    gss_inquire_context(&minor, *context, &source, &target, &number, &mech, &number, &is, &was);
    gss_release_name(&minor, &source);
    gss_release_name(&minor, &target);
    gss_context_time(&minor, *context, &number);
    gss_inquire_sec_context_by_oid(&minor, *context, &demands_mic, &set);
    gss_release_buffer_set(&minor, &set);
    gss_set_sec_context_option(&minor, context, &demands_mic, &message);
    gss_process_context_token(&minor, *context, &message);
    gss_get_mic(&minor, *context, GSS_C_QOP_DEFAULT, &message, &output);
    gss_release_buffer(&minor, &output);
    gss_verify_mic(&minor, *context, &message, &message, &number);
    gss_wrap(&minor, *context, 1, GSS_C_QOP_DEFAULT, &message, &is, &output);
    gss_release_buffer(&minor, &output);
    gss_unwrap(&minor, *context, &message, &output, &is, &number);
    gss_release_buffer(&minor, &output);
    gss_wrap_size_limit(&minor, *context, 1, GSS_C_QOP_DEFAULT, 100, &number);
    gss_wrap_aead(&minor, *context, 1, GSS_C_QOP_DEFAULT, &message, &message, &is, &output);
    gss_release_buffer(&minor, &output);
    gss_unwrap_aead(&minor, *context, &message, &message, &output, &is, &number);
    gss_release_buffer(&minor, &output);
    gss_wrap_iov_length(&minor, *context, 1, GSS_C_QOP_DEFAULT, &is, iov, 2);
    gss_wrap_iov(&minor, *context, 1, GSS_C_QOP_DEFAULT, &is, iov, 2);
    gss_release_iov_buffer(&minor, iov, 2);
    gss_unwrap_iov(&minor, *context, &is, &number, iov, 2);
#ifndef HEIMDAL /* which has none of these */
    gss_complete_auth_token(&minor, *context, &message);
    gss_get_mic_iov_length(&minor, *context, GSS_C_QOP_DEFAULT, iov, 2);
    gss_get_mic_iov(&minor, *context, GSS_C_QOP_DEFAULT, iov, 2);
    gss_release_iov_buffer(&minor, iov, 2);
    gss_verify_mic_iov(&minor, *context, &number, iov, 2);
#endif
    gss_pseudo_random(&minor, *context, GSS_C_PRF_KEY_FULL, &message, 16, &output);
    gss_release_buffer(&minor, &output);
}

/* The octets of hexadecimal digits, in a buffer of their own length. */
static gss_buffer_desc unhex(const char *digits)
{
    size_t length = strlen(digits) / 2;
    unsigned char *octets = malloc(length == 0 ? 1 : length);

    for (size_t i = 0; i < length; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};

        octets[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return (gss_buffer_desc){length, octets};
}

static OM_uint32 step(gss_ctx_id_t *context, gss_name_t target, gss_buffer_t token)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, ignored;
    OM_uint32 major =
        target == GSS_C_NO_NAME
            ? gss_accept_sec_context(&minor, context, GSS_C_NO_CREDENTIAL, token,
                                     GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &output, NULL, NULL,
                                     NULL)
            : gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, context, target, &spnego,
                                   GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, token, NULL,
                                   &output, NULL, NULL);

    gss_release_buffer(&ignored, &output);
    return major;
}

static OM_uint32 converse(bool initiates, gss_name_t target)
{
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    OM_uint32 minor, major = GSS_S_FAILURE;
    const char *digits;

    if (initiates) {
        major = step(&context, target, GSS_C_NO_BUFFER);
        if (context != GSS_C_NO_CONTEXT)
            ask_everything(&context);
    }
    while ((digits = strtok(NULL, " \n")) != NULL) {
        gss_buffer_desc token = unhex(digits);

        /* A program that does not look at what it gets back goes on after a failure. */
        if (!initiates || context != GSS_C_NO_CONTEXT)
            major = step(&context, initiates ? target : GSS_C_NO_NAME, &token);
        if (context != GSS_C_NO_CONTEXT)
            ask_everything(&context);
        free(token.value);
    }
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    return major;
}

int main(void)
{
    gss_buffer_desc service = {14, "HTTP@localhost"};
    gss_name_t target;
    OM_uint32 minor;
    char *line = NULL;
    size_t size = 0;

    if (gss_import_name(&minor, &service, GSS_C_NT_HOSTBASED_SERVICE, &target) != GSS_S_COMPLETE)
        return 2;
    while (getline(&line, &size, stdin) > 0) {
        const char *role = strtok(line, " \n");

        if (role != NULL)
            printf("%s: %#x\n", role, converse(strcmp(role, "init") == 0, target));
    }
    free(line);
    gss_release_name(&minor, &target);
    return 0;
}
