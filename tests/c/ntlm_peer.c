/*
 * A peer for tests/ntlm_peers.rs: one side of an NTLM exchange by the system's mechanism, through
 * MIT's libgssapi_krb5 and GSS_MECH_CONFIG. Arguments and commands are those of
 * tests/py/ntlm_peer.py.
 */
#define _GNU_SOURCE
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gss_OID_desc ntlm = {10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};
/* 1.3.6.1.4.1.7165.655.1.2, .1.3 and 1.2.840.113554.1.2.2.5.5. */
static gss_OID_desc require_mic = {11, "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x02"};
static gss_OID_desc reset_crypto = {11, "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x03"};
static gss_OID_desc session_key = {11, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05"};

static const char *option(int argc, char **argv, const char *name)
{
    size_t length = strlen(name);
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
            return argv[i] + length + 1;
    return NULL;
}

static gss_buffer_desc unhex(const char *word)
{
    gss_buffer_desc out = {0, NULL};
    if (!word)
        return out;
    out.value = malloc(strlen(word) / 2 + 1);
    if (!out.value)
        exit(2);
    unsigned octet;
    for (; sscanf(word, "%2x", &octet) == 1; word += 2)
        ((unsigned char *)out.value)[out.length++] = (unsigned char)octet;
    return out;
}

static void say(const char *kind, const gss_buffer_desc *octets)
{
    printf("%s ", kind);
    for (size_t i = 0; octets && i < octets->length; i++)
        printf("%02x", ((unsigned char *)octets->value)[i]);
    puts(octets && octets->length ? "" : "-");
    fflush(stdout);
}

static void say_error(OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = {0, NULL};
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, &ntlm, &more, &text);
    printf("error major %08x: %.*s\n", major, (int)text.length, (char *)text.value);
    fflush(stdout);
    gss_release_buffer(&ignored, &text);
}

static OM_uint32 reset(gss_ctx_id_t *context, uint32_t verifying)
{
    OM_uint32 minor;
    gss_buffer_desc value = {sizeof(verifying), &verifying};
    return gss_set_sec_context_option(&minor, context, &reset_crypto, &value);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int initiate = !strcmp(argv[1], "initiate");
    OM_uint32 major, minor, ignored, flags = GSS_C_INTEG_FLAG | GSS_C_SEQUENCE_FLAG;
    const char *protect = option(argc, argv, "protect");
    if (protect && !strcmp(protect, "seal"))
        flags |= GSS_C_CONF_FLAG;

    struct gss_channel_bindings_struct channel = {0};
    channel.application_data = unhex(option(argc, argv, "bindings"));
    gss_channel_bindings_t bindings =
        channel.application_data.length ? &channel : GSS_C_NO_CHANNEL_BINDINGS;

    /* HTTP/host becomes HTTP@host. */
    gss_name_t target = GSS_C_NO_NAME;
    char *spn = strdup(option(argc, argv, "target") ? option(argc, argv, "target") : "");
    if (!spn)
        return 2;
    if (strchr(spn, '/'))
        *strchr(spn, '/') = '@';
    gss_buffer_desc name = {strlen(spn), spn};
    if (gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &target))
        return 2;

    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc mechs = {1, &ntlm};
    const char *user = option(argc, argv, "user"), *password = option(argc, argv, "password");
    if (initiate && user && password) {
        gss_name_t who;
        gss_buffer_desc user_name = {strlen(user), (void *)user};
        gss_buffer_desc secret = {strlen(password), (void *)password};
        if (gss_import_name(&minor, &user_name, GSS_C_NT_USER_NAME, &who))
            return 2;
        major = gss_acquire_cred_with_password(&minor, who, &secret, GSS_C_INDEFINITE, &mechs,
                                               GSS_C_INITIATE, &cred, NULL, NULL);
    } else {
        major = gss_acquire_cred(&minor, target, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT, &cred,
                                 NULL, NULL);
    }
    if (major) {
        say_error(major, minor);
        return 3;
    }

    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_name_t source = GSS_C_NO_NAME;
    OM_uint32 given = 0;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        char *command = strtok(line, " \n");
        gss_buffer_desc a = unhex(strtok(NULL, " \n")), b = unhex(strtok(NULL, " \n"));
        gss_buffer_desc out = {0, NULL};
        gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
        const char *kind = "ok";
        if (!command)
            break;
        if (!strcmp(command, "step")) {
            if (initiate)
                major = gss_init_sec_context(&minor, cred, &context, target, &ntlm, flags, 0,
                                             bindings, &a, NULL, &out, &given, NULL);
            else
                major = gss_accept_sec_context(&minor, &context, cred, &a, bindings, &source,
                                               NULL, &out, &given, NULL, NULL);
            kind = major == GSS_S_COMPLETE ? "done" : "token";
            major &= ~GSS_S_CONTINUE_NEEDED;
            if (!major && context) {
                /* What SPNEGO does: without it there is no MIC in AUTHENTICATE. */
                gss_inquire_sec_context_by_oid(&ignored, context, &require_mic, &set);
                gss_release_buffer_set(&ignored, &set);
            }
        } else if (!strcmp(command, "wrap")) {
            major = gss_wrap(&minor, context, 1, GSS_C_QOP_DEFAULT, &a, NULL, &out);
        } else if (!strcmp(command, "unwrap")) {
            major = gss_unwrap(&minor, context, &a, &out, NULL, NULL);
        } else if (!strcmp(command, "mic") || !strcmp(command, "listmic")) {
            major = gss_get_mic(&minor, context, GSS_C_QOP_DEFAULT, &a, &out);
            if (!major && command[0] == 'l')
                major = reset(&context, 0);
        } else if (!strcmp(command, "verify") || !strcmp(command, "listverify")) {
            major = gss_verify_mic(&minor, context, &a, &b, NULL);
            if (!major && command[0] == 'l')
                major = reset(&context, 1);
        } else if (!strcmp(command, "key")) {
            major = gss_inquire_sec_context_by_oid(&minor, context, &session_key, &set);
            if (!major && set->count) {
                out.value = malloc(set->elements[0].length + 1);
                if (!out.value)
                    return 2;
                out.length = set->elements[0].length;
                memcpy(out.value, set->elements[0].value, out.length);
            }
        } else if (!strcmp(command, "name")) {
            major = gss_display_name(&minor, source, &out, NULL);
        } else if (!strcmp(command, "flags")) {
            uint32_t octets = given;
            out.value = malloc(sizeof(octets));
            if (!out.value)
                return 2;
            out.length = sizeof(octets);
            memcpy(out.value, &octets, sizeof(octets));
            major = GSS_S_COMPLETE;
        } else {
            return 2;
        }
        if (major)
            say_error(major, minor);
        else
            say(kind, &out);
        gss_release_buffer(&ignored, &out);
        gss_release_buffer_set(&ignored, &set);
        free(a.value);
        free(b.value);
    }
    gss_delete_sec_context(&ignored, &context, NULL);
    gss_release_cred(&ignored, &cred);
    gss_release_name(&ignored, &target);
    gss_release_name(&ignored, &source);
    free(channel.application_data.value);
    free(spn);
    free(line);
    return 0;
}
