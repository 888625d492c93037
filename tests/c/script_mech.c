/* A mechanism that authenticates nobody, by a script: as many tokens as the script says, with a
 * checksum for a MIC, and failures where the script wants them. Compiled once for each letter
 * (-DSCRIPT='a'): OID 2.25.7301.1 and so on, script in the variable SCRIPT_A and so on.
 *
 *   tokens=2        tokens until both ends are established; the initiator sends the first
 *   size=48000      every token is as large as that at least
 *   integ=no        no GSS_C_INTEG_FLAG; integ=asked: none for an initiator that was not asked for it
 *   cred=no         no credential can be acquired
 *   fail=1          this end's leg that fails ...
 *   major=13        ... with this routine error (13: failure, 7: no credential, 11: expired) ...
 *   error_token=yes ... and a token for the peer
 *   empty=1         this end's leg that leaves no context and says GSS_S_CONTINUE_NEEDED
 *   mic=wrong       this end's MICs do not verify
 *   demand=yes      the mechanism demands the mechListMIC exchange (1.3.6.1.4.1.7165.655.1.2)
 *
 * It links to no library of GSS-API: the glue would find that library's functions through it. */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))

static gss_OID_desc own_oid = {4, (void *)(const unsigned char[]){0x69, 0xb9, 0x05, SCRIPT - 'a' + 1}};
static gss_OID_desc any_name = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};
static const gss_OID_desc demands_mic = {11, "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x02"};

struct context {
    int initiator;
    int tokens; /* sent and received */
    int legs;   /* of this end */
    int established;
    OM_uint32 asked;
};

/* The value of one word of the script, into `value`. */
static const char *script(const char *word, const char *otherwise, char *value)
{
    char name[] = {'S', 'C', 'R', 'I', 'P', 'T', '_', SCRIPT - 'a' + 'A', '\0'};
    const char *text = getenv(name);
    size_t length = strlen(word);

    while (text != NULL && *text != '\0') {
        size_t whole = strcspn(text, ",");

        if (whole > length && strncmp(text, word, length) == 0 && text[length] == '=') {
            snprintf(value, 16, "%.*s", (int)(whole - length - 1), text + length + 1);
            return value;
        }
        text += whole + (text[whole] == ',');
    }
    return otherwise;
}

static int says(const char *word, const char *value)
{
    char space[16];

    return strcmp(script(word, "", space), value) == 0;
}

static int number(const char *word, int otherwise)
{
    char space[16];
    const char *value = script(word, NULL, space);

    return value == NULL ? otherwise : atoi(value);
}

static OM_uint32 flags(const struct context *context)
{
    OM_uint32 bits = GSS_C_MUTUAL_FLAG | GSS_C_TRANS_FLAG;

    if (!says("integ", "no") &&
        (!says("integ", "asked") || !context->initiator || context->asked & GSS_C_INTEG_FLAG))
        bits |= GSS_C_INTEG_FLAG;
    if (context->established)
        bits |= GSS_C_PROT_READY_FLAG;
    return bits;
}

static void put(gss_buffer_t buffer, const void *octets, size_t length)
{
    buffer->value = malloc(length == 0 ? 1 : length);
    buffer->length = length;
    memcpy(buffer->value, octets, length);
}

/* ---- tokens: "script" and a number; the first with a header ---- */

/* The header of an element with `length` octets of contents; its own length. */
static size_t put_header(unsigned char *octets, unsigned char tag, size_t length)
{
    octets[0] = tag;
    if (length < 0x80) {
        octets[1] = (unsigned char)length;
        return 2;
    }
    octets[1] = 0x83;
    octets[2] = (unsigned char)(length >> 16);
    octets[3] = (unsigned char)(length >> 8);
    octets[4] = (unsigned char)length;
    return 5;
}

static void put_token(gss_buffer_t token, int which, const char *kind)
{
    char text[32];
    size_t length = (size_t)snprintf(text, sizeof(text), "script-%c %s%d", SCRIPT, kind, which);
    size_t wanted = (size_t)number("size", 0), at = 0;
    size_t filled = wanted > length ? wanted : length;
    unsigned char *octets = malloc(filled + 16);

    if (which == 1) {
        at = put_header(octets, 0x60, 6 + filled);
        octets[at++] = 0x06;
        octets[at++] = 4;
        memcpy(octets + at, own_oid.elements, 4);
        at += 4;
    }
    memcpy(octets + at, text, length);
    for (size_t i = length; i < filled; i++)
        octets[at + i] = (unsigned char)(' ' + i % 90);
    put(token, octets, at + filled);
    free(octets);
}

static int is_token(const gss_buffer_desc *token, int which)
{
    gss_buffer_desc expected;
    int same;

    put_token(&expected, which, "");
    same = token != NULL && token->length == expected.length &&
           memcmp(token->value, expected.value, token->length) == 0;
    free(expected.value);
    return same;
}

static OM_uint32 step(OM_uint32 *minor, struct context *context, const gss_buffer_desc *input,
                      gss_buffer_t output)
{
    int last = number("tokens", 2);
    int first_leg = context->initiator && context->legs == 0;

    *minor = 0;
    context->legs++;
    if (number("fail", 0) == context->legs) {
        *minor = 77;
        if (says("error_token", "yes"))
            put_token(output, 9, "error ");
        return (OM_uint32)number("major", 13) << GSS_C_ROUTINE_ERROR_OFFSET;
    }
    if (!first_leg) {
        context->tokens++;
        if (!is_token(input, context->tokens)) {
            *minor = 78;
            return GSS_S_DEFECTIVE_TOKEN;
        }
    }
    if (context->tokens < last) {
        context->tokens++;
        put_token(output, context->tokens, "");
    }
    context->established = context->tokens >= last;
    return context->established ? GSS_S_COMPLETE : GSS_S_CONTINUE_NEEDED;
}

/* As MIT's Kerberos ends a leg with a token that it cannot use. */
static OM_uint32 leave_nothing(OM_uint32 major, gss_ctx_id_t *handle)
{
    struct context *context = (struct context *)*handle;

    if (number("empty", 0) != context->legs)
        return major;
    free(context);
    *handle = GSS_C_NO_CONTEXT;
    return GSS_S_CONTINUE_NEEDED;
}

EXPORT OM_uint32 gss_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred UNUSED,
                                      gss_ctx_id_t *handle, gss_name_t target UNUSED,
                                      gss_OID mech UNUSED, OM_uint32 asked,
                                      OM_uint32 lifetime UNUSED,
                                      gss_channel_bindings_t bindings UNUSED, gss_buffer_t input,
                                      gss_OID *actual, gss_buffer_t output, OM_uint32 *given,
                                      OM_uint32 *seconds)
{
    struct context *context = (struct context *)*handle;
    OM_uint32 major;

    if (context == NULL) {
        context = calloc(1, sizeof(*context));
        context->initiator = 1;
        context->asked = asked;
        *handle = (gss_ctx_id_t)context;
    }
    major = step(minor, context, input, output);
    if (actual != NULL)
        *actual = &own_oid;
    if (given != NULL)
        *given = flags(context);
    if (seconds != NULL)
        *seconds = GSS_C_INDEFINITE;
    return leave_nothing(major, handle);
}

EXPORT OM_uint32 gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle,
                                        gss_cred_id_t cred UNUSED, gss_buffer_t input,
                                        gss_channel_bindings_t bindings UNUSED, gss_name_t *source,
                                        gss_OID *mech, gss_buffer_t output, OM_uint32 *given,
                                        OM_uint32 *seconds, gss_cred_id_t *delegated)
{
    struct context *context = (struct context *)*handle;
    OM_uint32 major;

    if (context == NULL) {
        context = calloc(1, sizeof(*context));
        *handle = (gss_ctx_id_t)context;
    }
    major = step(minor, context, input, output);
    if (source != NULL)
        *source = major == GSS_S_COMPLETE ? (gss_name_t)strdup("nobody") : GSS_C_NO_NAME;
    if (mech != NULL)
        *mech = &own_oid;
    if (given != NULL)
        *given = flags(context);
    if (seconds != NULL)
        *seconds = GSS_C_INDEFINITE;
    if (delegated != NULL)
        *delegated = GSS_C_NO_CREDENTIAL;
    return leave_nothing(major, handle);
}

EXPORT OM_uint32 gss_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
    *minor = 0;
    if (token != GSS_C_NO_BUFFER)
        token->length = 0;
    free(*handle);
    *handle = GSS_C_NO_CONTEXT;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source,
                                     gss_name_t *target, OM_uint32 *seconds, gss_OID *mech,
                                     OM_uint32 *given, int *local, int *opened)
{
    struct context *context = (struct context *)handle;

    *minor = 0;
    if (source != NULL)
        *source = (gss_name_t)strdup("nobody");
    if (target != NULL)
        *target = (gss_name_t)strdup("service");
    if (seconds != NULL)
        *seconds = GSS_C_INDEFINITE;
    if (mech != NULL)
        *mech = &own_oid;
    if (given != NULL)
        *given = flags(context);
    if (local != NULL)
        *local = context->initiator;
    if (opened != NULL)
        *opened = context->established;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_context_time(OM_uint32 *minor, gss_ctx_id_t handle UNUSED, OM_uint32 *seconds)
{
    *minor = 0;
    *seconds = GSS_C_INDEFINITE;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_inquire_sec_context_by_oid(OM_uint32 *minor, const gss_ctx_id_t handle,
                                                const gss_OID question, gss_buffer_set_t *set)
{
    *minor = 0;
    if (handle == GSS_C_NO_CONTEXT)
        abort();
    if (question->length != demands_mic.length ||
        memcmp(question->elements, demands_mic.elements, demands_mic.length) != 0)
        return GSS_S_UNAVAILABLE;
    *set = calloc(1, sizeof(**set));
    (*set)->count = 1;
    (*set)->elements = calloc(1, sizeof(*(*set)->elements));
    put(&(*set)->elements[0], says("demand", "yes") ? "\1" : "\0", 1);
    return GSS_S_COMPLETE;
}

/* ---- messages: a checksum in the clear ---- */

static uint64_t checksum(int from_initiator, const gss_buffer_desc *message)
{
    uint64_t sum = 0xcbf29ce484222325u + (uint64_t)SCRIPT + (uint64_t)from_initiator;

    for (size_t i = 0; i < message->length; i++)
        sum = (sum ^ ((const unsigned char *)message->value)[i]) * 0x100000001b3u;
    return sum;
}

EXPORT OM_uint32 gss_get_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop UNUSED,
                             gss_buffer_t message, gss_buffer_t token)
{
    struct context *context = (struct context *)handle;
    uint64_t sum = checksum(context->initiator, message);

    *minor = 0;
    if (!context->established)
        return GSS_S_NO_CONTEXT;
    if (says("mic", "wrong"))
        sum ^= 1;
    put(token, &sum, sizeof(sum));
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_verify_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t message,
                                gss_buffer_t token, gss_qop_t *qop)
{
    struct context *context = (struct context *)handle;
    uint64_t sum = checksum(!context->initiator, message);

    *minor = 0;
    if (qop != NULL)
        *qop = GSS_C_QOP_DEFAULT;
    if (!context->established)
        return GSS_S_NO_CONTEXT;
    if (token->length != sizeof(sum) || memcmp(token->value, &sum, sizeof(sum)) != 0)
        return GSS_S_BAD_MIC;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_wrap(OM_uint32 *minor, gss_ctx_id_t handle, int conf UNUSED, gss_qop_t qop,
                          gss_buffer_t message, int *conf_state, gss_buffer_t token)
{
    gss_buffer_desc mic = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_get_mic(minor, handle, qop, message, &mic);

    if (major != GSS_S_COMPLETE)
        return major;
    mic.value = realloc(mic.value, mic.length + message->length);
    memcpy((char *)mic.value + mic.length, message->value, message->length);
    mic.length += message->length;
    *token = mic;
    if (conf_state != NULL)
        *conf_state = 0;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_unwrap(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token,
                            gss_buffer_t message, int *conf_state, gss_qop_t *qop)
{
    gss_buffer_desc mic = {sizeof(uint64_t), token->value};
    gss_buffer_desc text;
    OM_uint32 major;

    *minor = 0;
    if (token->length < mic.length)
        return GSS_S_DEFECTIVE_TOKEN;
    text.length = token->length - mic.length;
    text.value = (char *)token->value + mic.length;
    major = gss_verify_mic(minor, handle, &text, &mic, qop);
    if (major == GSS_S_COMPLETE)
        put(message, text.value, text.length);
    if (conf_state != NULL)
        *conf_state = 0;
    return major;
}

EXPORT OM_uint32 gss_wrap_size_limit(OM_uint32 *minor, gss_ctx_id_t handle UNUSED, int conf UNUSED,
                                     gss_qop_t qop UNUSED, OM_uint32 size, OM_uint32 *limit)
{
    *minor = 0;
    *limit = size < sizeof(uint64_t) ? 0 : size - (OM_uint32)sizeof(uint64_t);
    return GSS_S_COMPLETE;
}

/* ---- credentials: one for everybody ---- */

static OM_uint32 acquire(OM_uint32 *minor, gss_cred_id_t *cred, OM_uint32 *seconds)
{
    *minor = 0;
    if (says("cred", "no")) {
        *minor = 79;
        return GSS_S_NO_CRED;
    }
    *cred = malloc(1);
    if (seconds != NULL)
        *seconds = GSS_C_INDEFINITE;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_acquire_cred(OM_uint32 *minor, gss_name_t name UNUSED,
                                  OM_uint32 lifetime UNUSED, gss_OID_set mechs UNUSED,
                                  gss_cred_usage_t usage UNUSED, gss_cred_id_t *cred,
                                  gss_OID_set *actual, OM_uint32 *seconds)
{
    if (actual != NULL)
        *actual = GSS_C_NO_OID_SET;
    return acquire(minor, cred, seconds);
}

EXPORT OM_uint32 gss_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 lifetime,
                                       gss_OID_set mechs, gss_cred_usage_t usage,
                                       gss_const_key_value_set_t store UNUSED, gss_cred_id_t *cred,
                                       gss_OID_set *actual, OM_uint32 *seconds)
{
    return gss_acquire_cred(minor, name, lifetime, mechs, usage, cred, actual, seconds);
}

EXPORT OM_uint32 gss_release_cred(OM_uint32 *minor, gss_cred_id_t *cred)
{
    *minor = 0;
    free(*cred);
    *cred = GSS_C_NO_CREDENTIAL;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_inquire_cred(OM_uint32 *minor, gss_cred_id_t cred UNUSED, gss_name_t *name,
                                  OM_uint32 *seconds, int *usage, gss_OID_set *mechs)
{
    *minor = 0;
    if (says("cred", "no"))
        return GSS_S_NO_CRED;
    if (name != NULL)
        *name = (gss_name_t)strdup("nobody");
    if (seconds != NULL)
        *seconds = GSS_C_INDEFINITE;
    if (usage != NULL)
        *usage = GSS_C_BOTH;
    if (mechs != NULL)
        *mechs = GSS_C_NO_OID_SET;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t cred UNUSED,
                                          gss_OID mech UNUSED, gss_name_t *name,
                                          OM_uint32 *initiate, OM_uint32 *accept,
                                          gss_cred_usage_t *usage)
{
    if (initiate != NULL)
        *initiate = GSS_C_INDEFINITE;
    if (accept != NULL)
        *accept = GSS_C_INDEFINITE;
    return gss_inquire_cred(minor, cred, name, NULL, usage, NULL);
}

/* ---- names: text ---- */

EXPORT OM_uint32 gss_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID type UNUSED,
                                 gss_name_t *name)
{
    *minor = 0;
    *name = (gss_name_t)strndup(text->value, text->length);
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t text,
                                  gss_OID *type)
{
    *minor = 0;
    put(text, name, strlen((char *)name));
    if (type != NULL)
        *type = &any_name;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_duplicate_name(OM_uint32 *minor, const gss_name_t name, gss_name_t *copy)
{
    *minor = 0;
    *copy = (gss_name_t)strdup((const char *)name);
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_compare_name(OM_uint32 *minor, gss_name_t a, gss_name_t b, int *equal)
{
    *minor = 0;
    *equal = strcmp((char *)a, (char *)b) == 0;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_release_name(OM_uint32 *minor, gss_name_t *name)
{
    *minor = 0;
    free(*name);
    *name = GSS_C_NO_NAME;
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_display_status(OM_uint32 *minor, OM_uint32 code, int type UNUSED,
                                    gss_OID mech UNUSED, OM_uint32 *more, gss_buffer_t text)
{
    char sentence[64];
    int length = snprintf(sentence, sizeof(sentence), "script-%c says no (%u)", SCRIPT, code);

    *minor = 0;
    *more = 0;
    put(text, sentence, (size_t)length);
    return GSS_S_COMPLETE;
}

EXPORT OM_uint32 gss_indicate_mechs(OM_uint32 *minor, gss_OID_set *mechs)
{
    *minor = 0;
    *mechs = calloc(1, sizeof(**mechs));
    (*mechs)->count = 1;
    (*mechs)->elements = malloc(sizeof(own_oid));
    (*mechs)->elements[0].length = own_oid.length;
    (*mechs)->elements[0].elements = malloc(own_oid.length);
    memcpy((*mechs)->elements[0].elements, own_oid.elements, own_oid.length);
    return GSS_S_COMPLETE;
}

/* The glue copies OIDs that a mechanism owns; these live as long as the process. */
EXPORT OM_uint32 gss_internal_release_oid(OM_uint32 *minor, gss_OID *oid)
{
    *minor = 0;
    if (*oid != &own_oid && *oid != &any_name)
        return GSS_S_CONTINUE_NEEDED;
    *oid = GSS_C_NO_OID;
    return GSS_S_COMPLETE;
}
