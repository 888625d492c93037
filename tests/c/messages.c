#include "messages.h"

#include "channel.h"

#include <stdlib.h>
#include <string.h>

static const char MESSAGE_TEXT[] = "a message of thirty-three octets.";

static gss_buffer_desc received(void)
{
    gss_buffer_desc octets;
    enum frame kind = receive_frame(&octets);

    if (kind != MESSAGE)
        stop("expected a message, got a frame of kind %d", kind);
    return octets;
}

static void send_released(gss_buffer_desc *octets)
{
    OM_uint32 minor;

    send_frame(MESSAGE, octets);
    gss_release_buffer(&minor, octets);
}

static void show_text(const char *label, OM_uint32 major, OM_uint32 minor, gss_buffer_desc *text)
{
    gss_buffer_desc expected = text_buffer(MESSAGE_TEXT);

    show_status(label, major, minor, GSS_C_NO_OID);
    if (!GSS_ERROR(major))
        show("  text: %s", same_buffer(text, &expected) ? "as sent" : "another");
}

/* ---- plain messages ---- */

static void send_wrapped(gss_ctx_id_t context, int conf)
{
    gss_buffer_desc text = text_buffer(MESSAGE_TEXT), token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;
    int conf_state = -1;

    major = gss_wrap(&minor, context, conf, GSS_C_QOP_DEFAULT, &text, &conf_state, &token);
    show_status(conf ? "wrap, confidential" : "wrap", major, minor, GSS_C_NO_OID);
    if (!GSS_ERROR(major))
        show("  conf_state: %d", conf_state);
    send_released(&token);
}

static void receive_wrapped(gss_ctx_id_t context)
{
    gss_buffer_desc token = received(), text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;
    int conf_state = -1;
    gss_qop_t qop = 99;

    major = gss_unwrap(&minor, context, &token, &text, &conf_state, &qop);
    show_text("unwrap", major, minor, &text);
    if (!GSS_ERROR(major))
        show("  conf_state: %d qop: %u", conf_state, qop);
    gss_release_buffer(&minor, &text);
    free(token.value);
}

static void send_mic(gss_ctx_id_t context)
{
    gss_buffer_desc text = text_buffer(MESSAGE_TEXT), token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    SHOW("get_mic", gss_get_mic(&minor, context, GSS_C_QOP_DEFAULT, &text, &token));
    send_released(&token);
}

static void receive_mic(gss_ctx_id_t context, const char *text)
{
    gss_buffer_desc token = received(), message = text_buffer(text);
    OM_uint32 major, minor;
    gss_qop_t qop = 99;

    major = gss_verify_mic(&minor, context, &message, &token, &qop);
    show_status("verify_mic", major, minor, GSS_C_NO_OID);
    free(token.value);
}

/* ---- order: the second before the first, and the first twice ---- */

static void send_out_of_order(gss_ctx_id_t context)
{
    gss_buffer_desc text = text_buffer(MESSAGE_TEXT);
    gss_buffer_desc first = GSS_C_EMPTY_BUFFER, second = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    SHOW("wrap the first", gss_wrap(&minor, context, 0, 0, &text, NULL, &first));
    SHOW("wrap the second", gss_wrap(&minor, context, 0, 0, &text, NULL, &second));
    send_released(&second);
    send_frame(MESSAGE, &first);
    send_released(&first);
}

static void send_damaged(gss_ctx_id_t context)
{
    gss_buffer_desc text = text_buffer(MESSAGE_TEXT), token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    SHOW("wrap", gss_wrap(&minor, context, 1, 0, &text, NULL, &token));
    if (token.length > 0)
        ((unsigned char *)token.value)[token.length - 1] ^= 1;
    send_released(&token);
}

/* ---- vectors ---- */

static gss_buffer_desc joined(const gss_iov_buffer_desc *iov, int count)
{
    gss_buffer_desc all = GSS_C_EMPTY_BUFFER;

    for (int i = 0; i < count; i++) {
        if (GSS_IOV_BUFFER_TYPE(iov[i].type) != GSS_IOV_BUFFER_TYPE_SIGN_ONLY)
            all.length += iov[i].buffer.length;
    }
    all.value = malloc(all.length + 1);
    all.length = 0;
    for (int i = 0; i < count; i++) {
        if (GSS_IOV_BUFFER_TYPE(iov[i].type) == GSS_IOV_BUFFER_TYPE_SIGN_ONLY ||
            iov[i].buffer.length == 0)
            continue;
        memcpy((char *)all.value + all.length, iov[i].buffer.value, iov[i].buffer.length);
        all.length += iov[i].buffer.length;
    }
    return all;
}

static void send_iov(gss_ctx_id_t context, int conf)
{
    char text[] = "a message of thirty-three octets.";
    gss_iov_buffer_desc iov[4];
    gss_buffer_desc all;
    OM_uint32 major, minor;
    int conf_state = -1;

    memset(iov, 0, sizeof(iov));
    iov[0].type = GSS_IOV_BUFFER_TYPE_HEADER;
    iov[1].type = GSS_IOV_BUFFER_TYPE_DATA;
    iov[1].buffer.value = text;
    iov[1].buffer.length = sizeof(text) - 1;
    iov[2].type = GSS_IOV_BUFFER_TYPE_PADDING;
    iov[3].type = GSS_IOV_BUFFER_TYPE_TRAILER;
    SHOW("wrap_iov_length", gss_wrap_iov_length(&minor, context, conf, 0, &conf_state, iov, 4));
    if (!GSS_ERROR(major))
        show("  header: %zu padding: %zu trailer: %zu", iov[0].buffer.length, iov[2].buffer.length,
             iov[3].buffer.length);
    iov[0].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
    iov[2].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
    iov[3].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
    SHOW("wrap_iov", gss_wrap_iov(&minor, context, conf, 0, &conf_state, iov, 4));
    if (GSS_ERROR(major))
        memset(iov, 0, sizeof(iov));
    else
        show("  conf_state: %d", conf_state);
    all = joined(iov, 4);
    gss_release_iov_buffer(&minor, iov, 4);
    send_frame(MESSAGE, &all);
    free(all.value);
}

static void receive_iov(gss_ctx_id_t context)
{
    gss_buffer_desc token = received(), expected = text_buffer(MESSAGE_TEXT);
    gss_iov_buffer_desc iov[2];
    OM_uint32 major, minor;
    int conf_state = -1;
    gss_qop_t qop = 99;

    memset(iov, 0, sizeof(iov));
    iov[0].type = GSS_IOV_BUFFER_TYPE_STREAM;
    iov[0].buffer = token;
    iov[1].type = GSS_IOV_BUFFER_TYPE_DATA;
    SHOW("unwrap_iov", gss_unwrap_iov(&minor, context, &conf_state, &qop, iov, 2));
    if (!GSS_ERROR(major))
        show("  text: %s conf_state: %d qop: %u",
             same_buffer(&iov[1].buffer, &expected) ? "as sent" : "another", conf_state, qop);
    free(token.value);
}

static void send_aead(gss_ctx_id_t context)
{
    gss_buffer_desc text = text_buffer(MESSAGE_TEXT), token = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc associated = text_buffer("in the clear");
    OM_uint32 major, minor;
    int conf_state = -1;

    SHOW("wrap_aead", gss_wrap_aead(&minor, context, 1, 0, &associated, &text, &conf_state, &token));
    if (!GSS_ERROR(major))
        show("  conf_state: %d", conf_state);
    send_released(&token);
}

static void receive_aead(gss_ctx_id_t context)
{
    gss_buffer_desc token = received(), text = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc associated = text_buffer("in the clear");
    OM_uint32 major, minor;
    int conf_state = -1;
    gss_qop_t qop = 99;

    major = gss_unwrap_aead(&minor, context, &token, &associated, &text, &conf_state, &qop);
    show_text("unwrap_aead", major, minor, &text);
    gss_release_buffer(&minor, &text);
    free(token.value);
}

static void send_mic_iov(gss_ctx_id_t context)
{
    gss_iov_buffer_desc iov[2];
    OM_uint32 major, minor;

    memset(iov, 0, sizeof(iov));
    iov[0].type = GSS_IOV_BUFFER_TYPE_DATA;
    iov[0].buffer = text_buffer(MESSAGE_TEXT);
    iov[1].type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN;
    SHOW("get_mic_iov_length", gss_get_mic_iov_length(&minor, context, 0, iov, 2));
    if (!GSS_ERROR(major))
        show("  mic: %zu", iov[1].buffer.length);
    iov[1].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
    SHOW("get_mic_iov", gss_get_mic_iov(&minor, context, 0, iov, 2));
    if (GSS_ERROR(major))
        iov[1].buffer.length = 0;
    send_frame(MESSAGE, &iov[1].buffer);
    gss_release_iov_buffer(&minor, iov + 1, 1);
}

static void receive_mic_iov(gss_ctx_id_t context)
{
    gss_buffer_desc token = received();
    gss_iov_buffer_desc iov[2];
    OM_uint32 major, minor;
    gss_qop_t qop = 99;

    memset(iov, 0, sizeof(iov));
    iov[0].type = GSS_IOV_BUFFER_TYPE_DATA;
    iov[0].buffer = text_buffer(MESSAGE_TEXT);
    iov[1].type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN;
    iov[1].buffer = token;
    SHOW("verify_mic_iov", gss_verify_mic_iov(&minor, context, &qop, iov, 2));
    free(token.value);
}

/* ---- what each end knows by itself, and what must be the same at both ---- */

static void compare_with_peer(const char *label, const gss_buffer_desc *mine, int initiator)
{
    gss_buffer_desc theirs;

    if (initiator)
        send_frame(MESSAGE, mine);
    theirs = received();
    if (!initiator)
        send_frame(MESSAGE, mine);
    show("  %s: %s", label, mine->length == 0 && theirs.length == 0 ? "at neither end"
                            : same_buffer(mine, &theirs) ? "the same at both ends" : "different");
    free(theirs.value);
}

static void compare_secrets(gss_ctx_id_t context, int initiator)
{
    gss_buffer_desc seed = text_buffer("seed"), prf = GSS_C_EMPTY_BUFFER, none = GSS_C_EMPTY_BUFFER;
    gss_buffer_set_t keys = GSS_C_NO_BUFFER_SET;
    OM_uint32 major, minor;

    SHOW("pseudo_random", gss_pseudo_random(&minor, context, GSS_C_PRF_KEY_FULL, &seed, 40, &prf));
    compare_with_peer("pseudo-random octets", &prf, initiator);
    gss_release_buffer(&minor, &prf);
    SHOW("pseudo_random, partial",
         gss_pseudo_random(&minor, context, GSS_C_PRF_KEY_PARTIAL, &seed, 16, &prf));
    compare_with_peer("pseudo-random octets", &prf, initiator);
    gss_release_buffer(&minor, &prf);

    SHOW("session key",
         gss_inquire_sec_context_by_oid(&minor, context, GSS_C_INQ_SSPI_SESSION_KEY, &keys));
    if (GSS_ERROR(major)) {
        compare_with_peer("key", &none, initiator);
    } else {
        show("  buffers: %zu key type: %s", keys->count,
             keys->count > 1 ? mech_text(&(gss_OID_desc){(OM_uint32)keys->elements[1].length,
                                                         keys->elements[1].value})
                             : "unsaid");
        compare_with_peer("key", &keys->elements[0], initiator);
    }
    gss_release_buffer_set(&minor, &keys);
}

static void ask_context(gss_ctx_id_t context)
{
    OM_uint32 major, minor, limit = 0, seconds = 0;
    krb5_flags tkt_flags = 0;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    gss_buffer_desc junk = text_buffer("junk");
    krb5_timestamp authtime = 0;

    for (int conf = 0; conf < 2; conf++) {
        SHOW("wrap_size_limit", gss_wrap_size_limit(&minor, context, conf, 0, 1000, &limit));
        show("  limit: %u", limit);
    }
    SHOW("context_time", gss_context_time(&minor, context, &seconds));
    show("  time: %s", time_text(seconds));
    SHOW("unknown question",
         gss_inquire_sec_context_by_oid(&minor, context, mech_oid("unused"), &set));
    gss_release_buffer_set(&minor, &set);
    SHOW("unknown option", gss_set_sec_context_option(&minor, &context, mech_oid("unused"), &junk));
    SHOW("ticket flags", gss_krb5_get_tkt_flags(&minor, context, &tkt_flags));
    SHOW("authtime", gsskrb5_extract_authtime_from_sec_context(&minor, context, &authtime));
    if (!GSS_ERROR(major))
        show("  authtime: %s", authtime == 0 ? "none" : "some");
    SHOW("sasl ssf",
         gss_inquire_sec_context_by_oid(&minor, context, GSS_C_SEC_CONTEXT_SASL_SSF, &set));
    gss_release_buffer_set(&minor, &set);
    SHOW("complete_auth_token", gss_complete_auth_token(&minor, context, &junk));
    SHOW("process_context_token", gss_process_context_token(&minor, context, &junk));
}

/* Every message is due and as it was sent: after one that is not, RC4 cannot find its place again. */
static int in_order(void)
{
    return strcmp(option("order", "mixed"), "kept") == 0;
}

/* Heimdal has no MICs over IOVs. */
static int has_mic_iov(void)
{
    return strcmp(option("mic_iov", "yes"), "yes") == 0;
}

static void speak(gss_ctx_id_t context)
{
    send_wrapped(context, 1);
    send_wrapped(context, 0);
    send_mic(context);
    send_mic(context);
    send_iov(context, 1);
    send_iov(context, 0);
    send_wrapped(context, 1);
    send_aead(context);
    if (has_mic_iov()) {
        send_mic_iov(context);
        send_mic_iov(context);
    }
    send_mic(context);
    if (!in_order()) {
        send_out_of_order(context);
        send_damaged(context);
    }
    send_wrapped(context, 0);
}

static void listen_to_peer(gss_ctx_id_t context)
{
    receive_wrapped(context);
    receive_wrapped(context);
    receive_mic(context, MESSAGE_TEXT);
    receive_mic(context, in_order() ? MESSAGE_TEXT : "another message");
    receive_iov(context);
    receive_iov(context);
    receive_iov(context);
    receive_aead(context);
    if (has_mic_iov())
        receive_mic_iov(context);
    receive_mic(context, MESSAGE_TEXT);
    if (has_mic_iov())
        receive_mic_iov(context);
    receive_wrapped(context);
    if (in_order())
        return;
    receive_wrapped(context);
    receive_wrapped(context);
    receive_wrapped(context);
    receive_wrapped(context);
}

/* The first messages alone: sealed and then signed, signed and then sealed, or sealed. */
static void first_messages(gss_ctx_id_t context, int initiator, const char *traffic)
{
    int signed_first = strcmp(traffic, "signed") == 0;
    int signs = strcmp(traffic, "sealed-only") != 0;

    for (int turn = 0; turn < 2; ++turn) {
        int speaks = turn == (initiator ? 0 : 1);

        for (int message = 0; message < 4; ++message) {
            int mic = signs && (message % 2 == 0) == signed_first;

            if (speaks && mic)
                send_mic(context);
            else if (speaks)
                send_wrapped(context, 1);
            else if (mic)
                receive_mic(context, MESSAGE_TEXT);
            else
                receive_wrapped(context);
        }
    }
}

void exchange_messages(gss_ctx_id_t context, int initiator)
{
    const char *traffic = option("traffic", "all");

    show("-- messages");
    if (strcmp(traffic, "all") != 0) {
        first_messages(context, initiator, traffic);
        return;
    }
    if (initiator)
        speak(context);
    else
        listen_to_peer(context);
    if (initiator)
        listen_to_peer(context);
    else
        speak(context);
    compare_secrets(context, initiator);
    ask_context(context);
}

static void speak_little(gss_ctx_id_t context)
{
    send_wrapped(context, 1);
    send_mic(context);
}

static void listen_little(gss_ctx_id_t context)
{
    receive_wrapped(context);
    receive_mic(context, MESSAGE_TEXT);
}

void exchange_few_messages(gss_ctx_id_t context, int initiator)
{
    show("-- messages");
    if (initiator)
        speak_little(context);
    listen_little(context);
    if (!initiator)
        speak_little(context);
}
