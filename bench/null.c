/*
 * A mechanism that does nothing, in TOKENS tokens: what a handshake costs over it is the
 * negotiation around it and nothing else. Compiled once per mechanism, with the content octets of
 * its identifier as MECH. NULL_TOKEN_SIZE in the environment makes every token that long.
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 16, SHORTEST_TOKEN = 32 };

/* How many of the handshake's tokens have been seen by this end. */
struct context {
    int tokens;
};

static const unsigned char mech[] = MECH;
static gss_OID_desc mech_oid = {sizeof mech, (void *)mech};
static const unsigned char checksum[HEADER] = "nothing at all.";
static gss_buffer_desc token;

static OM_uint32 copy(const void *bytes, size_t length, gss_buffer_t out)
{
    out->length = length;
    out->value = malloc(length ? length : 1);
    if (out->value == NULL)
        return GSS_S_FAILURE;
    memcpy(out->value, bytes, length);
    return GSS_S_COMPLETE;
}

/* RFC 2743 section 3.1: the glue finds the mechanism by this header. */
__attribute__((constructor)) static void make_token(void)
{
    const char *wish = getenv("NULL_TOKEN_SIZE");
    size_t size = wish ? strtoul(wish, NULL, 10) : SHORTEST_TOKEN, left;
    unsigned char *at;

    if (size < SHORTEST_TOKEN)
        size = SHORTEST_TOKEN;
    token.length = size;
    token.value = at = calloc(1, size);
    if (at == NULL)
        abort();
    *at++ = 0x60;
    if (size < 2 + 0x80) {
        left = size - 2;
    } else {
        left = size - 5;
        *at++ = 0x83;
        *at++ = (unsigned char)(left >> 16);
        *at++ = (unsigned char)(left >> 8);
    }
    *at++ = (unsigned char)left;
    *at++ = 0x06;
    *at++ = sizeof mech;
    memcpy(at, mech, sizeof mech);
}

static OM_uint32 step(gss_ctx_id_t *handle, gss_buffer_t input, gss_buffer_t output,
                      OM_uint32 *flags, OM_uint32 *lifetime)
{
    struct context *context = (struct context *)*handle;

    output->length = 0;
    output->value = NULL;
    if (context == NULL) {
        context = calloc(1, sizeof *context);
        if (context == NULL)
            return GSS_S_FAILURE;
        *handle = (gss_ctx_id_t)context;
    }
    if (input != GSS_C_NO_BUFFER && input->length > 0)
        context->tokens++;
    if (context->tokens < TOKENS) {
        if (copy(token.value, token.length, output) != GSS_S_COMPLETE)
            return GSS_S_FAILURE;
        context->tokens++;
    }
    if (flags != NULL)
        *flags = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG |
                 GSS_C_INTEG_FLAG | GSS_C_PROT_READY_FLAG;
    if (lifetime != NULL)
        *lifetime = GSS_C_INDEFINITE;
    return context->tokens == TOKENS ? GSS_S_COMPLETE : GSS_S_CONTINUE_NEEDED;
}

OM_uint32 gss_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *context,
                               gss_name_t target, gss_OID type, OM_uint32 wanted, OM_uint32 seconds,
                               gss_channel_bindings_t bindings, gss_buffer_t input, gss_OID *actual,
                               gss_buffer_t output, OM_uint32 *flags, OM_uint32 *lifetime)
{
    (void)cred, (void)target, (void)type, (void)wanted, (void)seconds, (void)bindings;
    *minor = 0;
    if (actual != NULL)
        *actual = &mech_oid;
    return step(context, input, output, flags, lifetime);
}

OM_uint32 gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *context, gss_cred_id_t cred,
                                 gss_buffer_t input, gss_channel_bindings_t bindings,
                                 gss_name_t *source, gss_OID *type, gss_buffer_t output,
                                 OM_uint32 *flags, OM_uint32 *lifetime, gss_cred_id_t *delegated)
{
    OM_uint32 major;

    (void)cred, (void)bindings;
    *minor = 0;
    major = step(context, input, output, flags, lifetime);
    if (type != NULL)
        *type = &mech_oid;
    if (delegated != NULL)
        *delegated = GSS_C_NO_CREDENTIAL;
    if (source != NULL)
        *source = major == GSS_S_COMPLETE ? (gss_name_t)strdup("nobody") : GSS_C_NO_NAME;
    return major;
}

OM_uint32 gss_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *context, gss_buffer_t output)
{
    *minor = 0;
    if (output != GSS_C_NO_BUFFER)
        output->length = 0;
    free(*context);
    *context = GSS_C_NO_CONTEXT;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source,
                              gss_name_t *target, OM_uint32 *lifetime, gss_OID *type,
                              OM_uint32 *flags, int *local, int *open)
{
    struct context *context = (struct context *)handle;

    *minor = 0;
    if (source != NULL)
        *source = (gss_name_t)strdup("nobody");
    if (target != NULL)
        *target = (gss_name_t)strdup("nothing");
    if (lifetime != NULL)
        *lifetime = GSS_C_INDEFINITE;
    if (type != NULL)
        *type = &mech_oid;
    if (flags != NULL)
        *flags = GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_PROT_READY_FLAG;
    if (local != NULL)
        *local = 1;
    if (open != NULL)
        *open = context->tokens == TOKENS;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 seconds, gss_OID_set mechs,
                           gss_cred_usage_t usage, gss_cred_id_t *cred, gss_OID_set *actual,
                           OM_uint32 *lifetime)
{
    (void)name, (void)seconds, (void)mechs, (void)usage;
    *minor = 0;
    *cred = malloc(1);
    if (*cred == GSS_C_NO_CREDENTIAL)
        return GSS_S_FAILURE;
    if (actual != NULL)
        *actual = GSS_C_NO_OID_SET;
    if (lifetime != NULL)
        *lifetime = GSS_C_INDEFINITE;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_release_cred(OM_uint32 *minor, gss_cred_id_t *cred)
{
    *minor = 0;
    free(*cred);
    *cred = GSS_C_NO_CREDENTIAL;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_inquire_cred(OM_uint32 *minor, gss_cred_id_t cred, gss_name_t *name,
                           OM_uint32 *lifetime, gss_cred_usage_t *usage, gss_OID_set *mechs)
{
    (void)cred;
    *minor = 0;
    if (name != NULL)
        *name = (gss_name_t)strdup("nobody");
    if (lifetime != NULL)
        *lifetime = GSS_C_INDEFINITE;
    if (usage != NULL)
        *usage = GSS_C_BOTH;
    if (mechs != NULL)
        *mechs = GSS_C_NO_OID_SET;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID type, gss_name_t *name)
{
    (void)type;
    *minor = 0;
    *name = (gss_name_t)strndup(text->value, text->length);
    return *name ? GSS_S_COMPLETE : GSS_S_FAILURE;
}

OM_uint32 gss_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t text, gss_OID *type)
{
    *minor = 0;
    if (type != NULL)
        *type = GSS_C_NT_USER_NAME;
    return copy(name, strlen((const char *)name), text);
}

OM_uint32 gss_release_name(OM_uint32 *minor, gss_name_t *name)
{
    *minor = 0;
    free(*name);
    *name = GSS_C_NO_NAME;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_duplicate_name(OM_uint32 *minor, gss_name_t name, gss_name_t *other)
{
    *minor = 0;
    *other = (gss_name_t)strdup((const char *)name);
    return *other ? GSS_S_COMPLETE : GSS_S_FAILURE;
}

OM_uint32 gss_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID type, gss_OID_set *attributes,
                                     gss_OID_set *known)
{
    OM_uint32 major = GSS_S_COMPLETE;

    (void)type;
    *minor = 0;
    if (known != NULL)
        *known = GSS_C_NO_OID_SET;
    if (attributes != NULL) {
        major = gss_create_empty_oid_set(minor, attributes);
        if (major == GSS_S_COMPLETE)
            major = gss_add_oid_set_member(minor, (gss_OID)GSS_C_MA_MECH_CONCRETE, attributes);
    }
    return major;
}

OM_uint32 gss_get_mic(OM_uint32 *minor, gss_ctx_id_t context, gss_qop_t qop, gss_buffer_t message,
                      gss_buffer_t mic)
{
    (void)context, (void)qop, (void)message;
    *minor = 0;
    return copy(checksum, sizeof checksum, mic);
}

OM_uint32 gss_verify_mic(OM_uint32 *minor, gss_ctx_id_t context, gss_buffer_t message,
                         gss_buffer_t mic, gss_qop_t *qop)
{
    (void)context, (void)message;
    *minor = 0;
    if (qop != NULL)
        *qop = GSS_C_QOP_DEFAULT;
    if (mic->length != sizeof checksum || memcmp(mic->value, checksum, sizeof checksum) != 0)
        return GSS_S_BAD_SIG;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_wrap(OM_uint32 *minor, gss_ctx_id_t context, int conf, gss_qop_t qop,
                   gss_buffer_t message, int *conf_state, gss_buffer_t wrapped)
{
    (void)context, (void)qop;
    *minor = 0;
    if (conf_state != NULL)
        *conf_state = conf;
    wrapped->length = HEADER + message->length;
    wrapped->value = malloc(wrapped->length);
    if (wrapped->value == NULL)
        return GSS_S_FAILURE;
    memcpy(wrapped->value, checksum, HEADER);
    memcpy((char *)wrapped->value + HEADER, message->value, message->length);
    return GSS_S_COMPLETE;
}

OM_uint32 gss_unwrap(OM_uint32 *minor, gss_ctx_id_t context, gss_buffer_t wrapped,
                     gss_buffer_t message, int *conf_state, gss_qop_t *qop)
{
    (void)context;
    *minor = 0;
    if (conf_state != NULL)
        *conf_state = 1;
    if (qop != NULL)
        *qop = GSS_C_QOP_DEFAULT;
    if (wrapped->length < HEADER)
        return GSS_S_DEFECTIVE_TOKEN;
    return copy((const char *)wrapped->value + HEADER, wrapped->length - HEADER, message);
}

OM_uint32 gss_wrap_iov(OM_uint32 *minor, gss_ctx_id_t context, int conf, gss_qop_t qop,
                       int *conf_state, gss_iov_buffer_desc *parts, int count)
{
    int part;

    (void)context, (void)qop;
    *minor = 0;
    if (conf_state != NULL)
        *conf_state = conf;
    for (part = 0; part < count; part++) {
        gss_buffer_t buffer = &parts[part].buffer;

        switch (GSS_IOV_BUFFER_TYPE(parts[part].type)) {
        case GSS_IOV_BUFFER_TYPE_HEADER:
            if (copy(checksum, sizeof checksum, buffer) != GSS_S_COMPLETE)
                return GSS_S_FAILURE;
            parts[part].type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
            break;
        case GSS_IOV_BUFFER_TYPE_PADDING:
        case GSS_IOV_BUFFER_TYPE_TRAILER:
            buffer->length = 0;
            break;
        }
    }
    return GSS_S_COMPLETE;
}

OM_uint32 gss_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t context, int *conf_state, gss_qop_t *qop,
                         gss_iov_buffer_desc *parts, int count)
{
    (void)context, (void)parts, (void)count;
    *minor = 0;
    if (conf_state != NULL)
        *conf_state = 1;
    if (qop != NULL)
        *qop = GSS_C_QOP_DEFAULT;
    return GSS_S_COMPLETE;
}
