/* Two ends of a connection, or one of them.
 *
 *   pair both OPTION...        fork an initiator and an acceptor; their reports one after the other
 *   pair initiator OPTION...   one end: frames come on descriptor 0 and go to descriptor 1, the
 *   pair acceptor OPTION...    report goes to descriptor 2
 *
 * Options are name=value; "i." or "a." in front of a name makes it that of one end.
 *   config=FILE      GSS_MECH_CONFIG            env=K=V;K=V       more environment
 *   mech=spnego      mechanism to initiate      flags=mutual,...  flags to ask for
 *   target=HTTP@localhost  target.type=hostbased                  bindings=TEXT
 *   cred=default|acquire|from|password          cred.mechs=none   cred.name, cred.type
 *   cred.carry=yes   export and import the credential
 *   store=k:v;k:v    password=TEXT              neg=krb5,...      gss_set_neg_mechs
 *   no_ci=yes        GSS_KRB5_CRED_NO_CI_FLAGS_X
 *   first=none|fed|ignored   begin with an empty token to the acceptor; feed what it answers, or not
 *   i.mutate.N=flip:OFFSET|cut:COUNT|append:HEX|replace:HEX:HEX|empty   the Nth token it sends
 *   size=N           maximum output token size, as an option of the credential (cred=acquire)
 *   context_size=N   ... as an option of the context, after the first leg
 *   cut=N            cut what is sent into pieces of N octets, the first of cut.first=N
 *   count=yes        show how many tokens were sent, not each
 *   inquire=yes      look into the context after every leg
 *   ask_target=no    ... without its target name, which kills gss-ntlmssp's acceptor
 *   ask=yes          ask the plugin's own questions after every leg, and of the credential
 *   early=yes        try messages while incomplete
 *   delete_after=N   delete the context after leg N
 *   bindings.once=yes  ... at the first leg alone
 *   carry=yes        export and import the context after each leg but the last
 *   carry.target=HTTP@localhost   ... and go on with this target
 *   export=initiator|acceptor|both   messages=no|few   order=kept   mic_iov=no
 *   traffic=sealed|signed|sealed-only   the first messages alone   delegated=TARGET
 */
#define _GNU_SOURCE
#include "channel.h"
#include "common.h"
#include "messages.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct end {
    const char *role;
    int initiator;
    gss_cred_id_t cred;
    gss_ctx_id_t context;
    gss_name_t target;
    gss_name_t peer;
    gss_cred_id_t delegated;
    struct gss_channel_bindings_struct bindings;
    gss_channel_bindings_t bound;
    int leg;
    int sent;
    int counts;
    size_t largest;
};

static gss_OID_desc size_option = {7, "\x69\x8e\xfa\x86\xc7\x1c\x01"};

static int yes(const struct end *end, const char *name)
{
    return strcmp(role_option(end->role, name, "no"), "yes") == 0;
}

/* ---- the environment of an end ---- */

static void set_environment(const char *role)
{
    const char *config = role_option(role, "config", NULL);
    char *copy = strdup(role_option(role, "env", "")), *rest = copy, *variable;

    if (config != NULL)
        setenv("GSS_MECH_CONFIG", config, 1);
    while ((variable = strsep(&rest, ";")) != NULL) {
        char *value = strchr(variable, '=');

        if (value == NULL)
            continue;
        *value = '\0';
        setenv(variable, value + 1, 1);
    }
    free(copy);
}

/* ---- what the plugin tells of itself ---- */

static OM_uint32 number_in(const gss_buffer_desc *buffer)
{
    OM_uint32 number = 0;

    if (buffer->length != sizeof(number))
        stop("a number of %zu octets", buffer->length);
    memcpy(&number, buffer->value, sizeof(number));
    return number;
}

static const char *mech_in(const gss_buffer_desc *buffer)
{
    gss_OID_desc mech = {(OM_uint32)buffer->length, buffer->value};

    return mech_text(&mech);
}

static void show_answer(const char *what, const char *shape, const gss_buffer_set_t set)
{
    char line[4096] = "";
    size_t used = 0, kinds = strlen(shape);

    for (size_t i = 0; i < set->count && used < sizeof(line) - 1; i++) {
        const gss_buffer_desc *buffer = &set->elements[i];
        char *place = line + used;
        size_t room = sizeof(line) - used;

        if (shape[i % kinds] == 'm')
            used += (size_t)snprintf(place, room, " %s", mech_in(buffer));
        else if (shape[i % kinds] == 'n')
            used += (size_t)snprintf(place, room, " %u", number_in(buffer));
        else
            used += (size_t)snprintf(place, room, " \"%.*s\"", (int)buffer->length,
                                     (char *)buffer->value);
    }
    show("asked %s:%s", what, line);
}

/* Questions are numbered below 2.25.4014056348.3; see include/gss_spnego.h. */
static void ask(gss_ctx_id_t context)
{
    static const struct {
        const char *what, *shape;
    } questions[] = {{"offered", "m"}, {"mech", "m"},  {"state", "n"}, {"mic", "n"},
                     {"dropped", "mt"}, {"sums", "n"}, {"rule", "t"},  {"reasons", "t"},
                     {"credential", "m"}};

    for (unsigned char i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        unsigned char octets[] = {0x69, 0x8e, 0xfa, 0x86, 0xc7, 0x1c, 3, (unsigned char)(i + 1)};
        gss_OID_desc question = {sizeof(octets), octets};
        gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
        OM_uint32 major, minor;

        major = gss_inquire_sec_context_by_oid(&minor, context, &question, &set);
        if (major == GSS_S_COMPLETE)
            show_answer(questions[i].what, questions[i].shape, set);
        else
            show("asked %s: %s", questions[i].what, major_text(major));
        gss_release_buffer_set(&minor, &set);
    }
}

static void ask_cred(gss_cred_id_t cred)
{
    gss_OID_desc question = {8, "\x69\x8e\xfa\x86\xc7\x1c\x03\x09"};
    gss_OID_desc unknown = {8, "\x69\x8e\xfa\x86\xc7\x1c\x03\x01"};
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major, minor;

    SHOW("ask credential", gss_inquire_cred_by_oid(&minor, cred, &question, &set));
    if (major == GSS_S_COMPLETE)
        show_answer("neg mechs", "m", set);
    gss_release_buffer_set(&minor, &set);
    SHOW("ask credential, unknown", gss_inquire_cred_by_oid(&minor, cred, &unknown, &set));
    gss_release_buffer_set(&minor, &set);
}

/* ---- credentials ---- */

static OM_uint32 acquire(struct end *end, OM_uint32 *minor)
{
    const char *how = role_option(end->role, "cred", "default");
    gss_name_t name = imported(role_option(end->role, "cred.name", "none"),
                               role_option(end->role, "cred.type", "user"));
    gss_OID_set mechs = mech_set(role_option(end->role, "cred.mechs", "none")), actual = NULL;
    gss_cred_usage_t usage = end->initiator ? GSS_C_INITIATE : GSS_C_ACCEPT;
    gss_buffer_desc password = text_buffer(role_option(end->role, "password", ""));
    OM_uint32 major, ignored, seconds = 0;

    if (strcmp(how, "from") == 0)
        major = gss_acquire_cred_from(minor, name, 0, mechs, usage,
                                      cred_store(role_option(end->role, "store", "")), &end->cred,
                                      &actual, &seconds);
    else if (strcmp(how, "password") == 0)
        major = gss_acquire_cred_with_password(minor, name, &password, 0, mechs, usage, &end->cred,
                                               &actual, &seconds);
    else
        major = gss_acquire_cred(minor, name, 0, mechs, usage, &end->cred, &actual, &seconds);
    show_status("acquire", major, *minor, GSS_C_NO_OID);
    if (!GSS_ERROR(major)) {
        show_mechs("  actual mechs", actual);
        show("  time: %s", time_text(seconds));
    }
    if (!GSS_ERROR(major) && yes(end, "cred.carry")) {
        gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

        major = gss_export_cred(minor, end->cred, &token);
        show_status("  carry: export", major, *minor, GSS_C_NO_OID);
        gss_release_cred(&ignored, &end->cred);
        major = gss_import_cred(minor, &token, &end->cred);
        show_status("  carry: import", major, *minor, GSS_C_NO_OID);
        gss_release_buffer(&ignored, &token);
    }
    gss_release_oid_set(&ignored, &actual);
    gss_release_oid_set(&ignored, &mechs);
    gss_release_name(&ignored, &name);
    return major;
}

static int prepare_cred(struct end *end)
{
    const char *neg = role_option(end->role, "neg", NULL);
    OM_uint32 major, minor;

    if (strcmp(role_option(end->role, "cred", "default"), "default") != 0 &&
        GSS_ERROR(acquire(end, &minor)))
        return 0;
    if (neg != NULL) {
        gss_OID_set mechs = mech_set(neg);

        SHOW("set_neg_mechs", gss_set_neg_mechs(&minor, end->cred, mechs));
        gss_release_oid_set(&minor, &mechs);
    }
    if (role_option(end->role, "size", NULL) != NULL) {
        OM_uint32 size = (OM_uint32)atoi(role_option(end->role, "size", NULL));
        gss_buffer_desc value = {sizeof(size), &size};

        SHOW("cred option", gss_set_cred_option(&minor, &end->cred, &size_option, &value));
    }
    if (yes(end, "no_ci")) {
        gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;

        SHOW("no_ci", gss_set_cred_option(&minor, &end->cred,
                                          (gss_OID)GSS_KRB5_CRED_NO_CI_FLAGS_X, &empty));
    }
    if (yes(end, "ask") && end->cred != GSS_C_NO_CREDENTIAL)
        ask_cred(end->cred);
    return 1;
}

/* ---- looking into a context ---- */

static void inquire(gss_ctx_id_t context)
{
    gss_name_t source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 major, minor, seconds = 0, flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    int local = -1, opened = -1;

    int ask_target = strcmp(option("ask_target", "yes"), "yes") == 0;

    SHOW("inquire_context",
         gss_inquire_context(&minor, context, &source, ask_target ? &target : NULL, &seconds, &mech,
                             &flags, &local, &opened));
    if (GSS_ERROR(major))
        return;
    show_name("  source", source);
    show_name("  target", target);
    show("  time: %s mech: %s local: %d open: %d", time_text(seconds), mech_text(mech), local,
         opened);
    show("  flags: %s", flags_text(flags));
    gss_release_name(&minor, &source);
    gss_release_name(&minor, &target);
}

static void try_early(gss_ctx_id_t context)
{
    gss_buffer_desc text = text_buffer("too early"), token = GSS_C_EMPTY_BUFFER;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    gss_iov_buffer_desc iov = {GSS_IOV_BUFFER_TYPE_DATA, text};
    OM_uint32 major, minor, number;

    SHOW("early wrap", gss_wrap(&minor, context, 1, 0, &text, NULL, &token));
    SHOW("early unwrap", gss_unwrap(&minor, context, &text, &token, NULL, NULL));
    SHOW("early get_mic", gss_get_mic(&minor, context, 0, &text, &token));
    SHOW("early verify_mic", gss_verify_mic(&minor, context, &text, &text, NULL));
    SHOW("early wrap_size_limit", gss_wrap_size_limit(&minor, context, 1, 0, 100, &number));
    SHOW("early context_time", gss_context_time(&minor, context, &number));
    SHOW("early wrap_iov", gss_wrap_iov(&minor, context, 1, 0, NULL, &iov, 1));
    SHOW("early unwrap_iov", gss_unwrap_iov(&minor, context, NULL, NULL, &iov, 1));
    SHOW("early wrap_aead", gss_wrap_aead(&minor, context, 1, 0, NULL, &text, NULL, &token));
    SHOW("early get_mic_iov", gss_get_mic_iov(&minor, context, 0, &iov, 1));
    SHOW("early pseudo_random", gss_pseudo_random(&minor, context, 0, &text, 8, &token));
    SHOW("early session key",
         gss_inquire_sec_context_by_oid(&minor, context, GSS_C_INQ_SSPI_SESSION_KEY, &set));
    SHOW("early process_context_token", gss_process_context_token(&minor, context, &text));
}

/* ---- one leg ---- */

static unsigned char *from_hex(const char *hex, size_t digits, size_t *length)
{
    unsigned char *octets = malloc(digits / 2 + 1);

    for (*length = 0; *length < digits / 2; ++*length) {
        unsigned octet;

        if (sscanf(hex + 2 * *length, "%2x", &octet) != 1)
            stop("not hexadecimal: %s", hex);
        octets[*length] = (unsigned char)octet;
    }
    return octets;
}

static void replace(gss_buffer_desc *token, const char *change)
{
    const char *colon = strchr(change, ':');
    size_t old_length, new_length;
    unsigned char *old, *new, *at;

    if (colon == NULL)
        stop("replace:OLD:NEW");
    old = from_hex(change, (size_t)(colon - change), &old_length);
    new = from_hex(colon + 1, strlen(colon + 1), &new_length);
    at = memmem(token->value, token->length, old, old_length);
    if (at == NULL || old_length != new_length)
        stop("replace: not found, or of another length");
    memcpy(at, new, new_length);
    free(old);
    free(new);
}

/* `token` is malloc'd; it stays so. */
static void mutate(const char *change, gss_buffer_desc *token)
{
    const char *colon = strchr(change, ':');
    size_t number = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);

    if (strcmp(change, "empty") == 0) {
        token->length = 0;
    } else if (strncmp(change, "flip:", 5) == 0 && token->length > 0) {
        /* Counted from the end when written with a minus. */
        size_t offset = colon[1] == '-' ? token->length - strtoul(colon + 2, NULL, 10) : number;

        ((unsigned char *)token->value)[offset % token->length] ^= 0x55;
    } else if (strncmp(change, "cut:", 4) == 0) {
        token->length -= number < token->length ? number : token->length;
    } else if (strncmp(change, "append:", 7) == 0) {
        size_t length;
        unsigned char *more = from_hex(colon + 1, strlen(colon + 1), &length);

        token->value = realloc(token->value, token->length + length + 1);
        memcpy((char *)token->value + token->length, more, length);
        token->length += length;
        free(more);
    } else if (strncmp(change, "replace:", 8) == 0) {
        replace(token, colon + 1);
    } else {
        stop("unknown mutation %s", change);
    }
}

/* Send a token in pieces, if asked to: what a peer does that fragments, and its peer must answer
 * all but the last with an empty token. */
static void send_pieces(struct end *end, enum frame kind, gss_buffer_desc token)
{
    size_t size = (size_t)atol(role_option(end->role, "cut", "0"));
    size_t first = (size_t)atol(role_option(end->role, "cut.first", "0"));

    for (size_t next = first > size ? first : size; size > 0 && next < token.length; next = size) {
        gss_buffer_desc piece = {next, token.value}, answer;
        enum frame got;

        send_frame(kind, &piece);
        token.value = (char *)token.value + next;
        token.length -= next;
        got = receive_frame(&answer);
        free(answer.value);
        if (got != TOKEN || answer.length != 0) {
            show("a piece was not answered by the empty token");
            return;
        }
    }
    send_frame(kind, &token);
}

/* Send what a leg produced, altered where that was asked for. */
static void send_token(struct end *end, enum frame kind, const gss_buffer_desc *token)
{
    gss_buffer_desc copy = {token->length, malloc(token->length + 1)};
    const char *change;
    char name[32];

    if (token->length > 0)
        memcpy(copy.value, token->value, token->length);
    if (!end->counts)
        show_token("  sends", token);
    end->largest = token->length > end->largest ? token->length : end->largest;
    snprintf(name, sizeof(name), "%c.mutate.%d", end->role[0], ++end->sent);
    change = option(name, NULL);
    if (change != NULL) {
        mutate(change, &copy);
        show_token("  altered to", &copy);
    }
    send_pieces(end, kind, copy);
    free(copy.value);
}

static void limit_context(struct end *end)
{
    const char *text = role_option(end->role, "context_size", NULL);
    OM_uint32 major, minor, size;
    gss_buffer_desc value = {sizeof(size), &size};

    if (text == NULL || end->leg != 1)
        return;
    size = (OM_uint32)atoi(text);
    SHOW("context option",
         gss_set_sec_context_option(&minor, &end->context, &size_option, &value));
}

static OM_uint32 step(struct end *end, gss_buffer_desc *input)
{
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored, flags = 0, seconds = 0;
    gss_OID mech = GSS_C_NO_OID;
    char label[32];

    if (end->initiator) {
        if (yes(end, "bindings.once") && end->context != GSS_C_NO_CONTEXT)
            end->bound = GSS_C_NO_CHANNEL_BINDINGS;
        major = gss_init_sec_context(&minor, end->cred, &end->context, end->target,
                                     mech_oid(role_option(end->role, "mech", "spnego")),
                                     flag_bits(role_option(end->role, "flags", "")), 0, end->bound,
                                     input, &mech, &output, &flags, &seconds);
    } else {
        major = gss_accept_sec_context(&minor, &end->context, end->cred, input, end->bound,
                                       &end->peer, &mech, &output, &flags, &seconds,
                                       &end->delegated);
    }
    snprintf(label, sizeof(label), "leg %d", ++end->leg);
    if (!end->counts || GSS_ERROR(major))
        show_status(label, major, minor, GSS_C_NO_OID);
    if (!end->counts && !GSS_ERROR(major))
        show("  mech: %s time: %s flags: %s", mech_text(mech), time_text(seconds),
             flags_text(flags));
    if (GSS_ERROR(major))
        show("  context: %s", end->context == GSS_C_NO_CONTEXT ? "none" : "there");
    if (!end->counts && !end->initiator && !GSS_ERROR(major)) {
        if (end->peer != GSS_C_NO_NAME)
            show_name("  peer", end->peer);
        show("  delegated: %s", end->delegated == GSS_C_NO_CREDENTIAL ? "no" : "yes");
    }
    /* An error's token travels with the error, nothing travels for an established end that has
     * nothing to say, and a waiting end's empty token is seen by its peer. */
    if (output.length > 0 || major == GSS_S_CONTINUE_NEEDED)
        send_token(end, GSS_ERROR(major) ? ERROR : TOKEN, &output);
    else if (GSS_ERROR(major))
        send_frame(ERROR, NULL);
    gss_release_buffer(&ignored, &output);
    if (yes(end, "inquire") && end->context != GSS_C_NO_CONTEXT)
        inquire(end->context);
    if (yes(end, "ask") && end->context != GSS_C_NO_CONTEXT)
        ask(end->context);
    if (yes(end, "early") && major == GSS_S_CONTINUE_NEEDED)
        try_early(end->context);
    return major;
}

static int deleted(struct end *end)
{
    const char *after = role_option(end->role, "delete_after", "0");
    OM_uint32 major, minor;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;

    if (atoi(after) != end->leg)
        return 0;
    SHOW("delete", gss_delete_sec_context(&minor, &end->context, &token));
    show("  context: %s token: %s", end->context == GSS_C_NO_CONTEXT ? "none" : "there",
         token.length == 0 ? "none" : "some");
    return 1;
}

/* Export and import the context between two legs, as if another process went on; whether it is there. */
static int carried(struct end *end)
{
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    if (!yes(end, "carry"))
        return 1;
    SHOW("  carry: export", gss_export_sec_context(&minor, &end->context, &token));
    if (GSS_ERROR(major)) {
        /* It is still there, and goes on. */
        show("  context: %s", end->context == GSS_C_NO_CONTEXT ? "none" : "there");
        return end->context != GSS_C_NO_CONTEXT;
    }
    SHOW("  carry: import", gss_import_sec_context(&minor, &token, &end->context));
    if (role_option(end->role, "carry.target", NULL) != NULL) {
        OM_uint32 ignored;

        gss_release_name(&ignored, &end->target);
        end->target = imported(role_option(end->role, "carry.target", NULL), "hostbased");
    }
    gss_release_buffer(&minor, &token);
    return !GSS_ERROR(major);
}

/* Run legs until this end is established, has failed, or has lost its peer. */
static int negotiate(struct end *end)
{
    gss_buffer_desc input = GSS_C_EMPTY_BUFFER, empty = GSS_C_EMPTY_BUFFER;
    const char *first = option("first", "none");
    int waits = !end->initiator;

    if (end->initiator && strcmp(first, "none") != 0) {
        send_token(end, TOKEN, &empty);
        waits = 1;
    }
    for (;;) {
        enum frame kind = waits ? receive_frame(&input) : TOKEN;
        OM_uint32 major;

        if (kind == DONE) {
            show("the peer is done; this end is not");
            return 0;
        }
        if (kind == CLOSED || (kind == ERROR && input.length == 0)) {
            show("the peer has failed");
            free(input.value);
            return 0;
        }
        if (end->initiator && end->leg == 0 && strcmp(first, "fed") != 0) {
            free(input.value);
            input.value = NULL;
            input.length = 0;
        }
        major = step(end, &input);
        free(input.value);
        input.value = NULL;
        input.length = 0;
        waits = 1;
        if (GSS_ERROR(major))
            return 0;
        limit_context(end);
        if (deleted(end) || (major == GSS_S_CONTINUE_NEEDED && !carried(end))) {
            send_frame(ERROR, NULL);
            return 0;
        }
        if (kind == ERROR) {
            show("the peer has failed");
            return 0;
        }
        if (major == GSS_S_COMPLETE) {
            send_frame(DONE, NULL);
            return 1;
        }
    }
}

/* Whether the peer is established too; what it still sends is shown. */
static int peer_established(void)
{
    for (;;) {
        gss_buffer_desc octets;
        enum frame kind = receive_frame(&octets);

        if (kind == TOKEN)
            show_token("one more token of the peer", &octets);
        free(octets.value);
        if (kind != TOKEN)
            return kind == DONE;
    }
}

/* ---- after ---- */

static int through_export(struct end *end)
{
    const char *who = option("export", "none");
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor;

    if (strcmp(who, "both") != 0 && strcmp(who, end->role) != 0)
        return 1;
    SHOW("export", gss_export_sec_context(&minor, &end->context, &token));
    if (GSS_ERROR(major))
        return 0;
    show("  context: %s", end->context == GSS_C_NO_CONTEXT ? "none" : "there");
    SHOW("import", gss_import_sec_context(&minor, &token, &end->context));
    gss_release_buffer(&minor, &token);
    if (GSS_ERROR(major))
        return 0;
    inquire(end->context);
    if (yes(end, "ask"))
        ask(end->context);
    return 1;
}

static void use_delegated(struct end *end)
{
    const char *target = option("delegated", NULL);
    gss_buffer_desc none = GSS_C_EMPTY_BUFFER, token = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    OM_uint32 major, minor;
    gss_name_t service;

    if (target == NULL || end->initiator || end->delegated == GSS_C_NO_CREDENTIAL)
        return;
    show_cred("inquire delegated", end->delegated);
    service = imported(target, "hostbased");
    for (int i = 0; i < 2; i++) {
        gss_OID mech = mech_oid(i == 0 ? "krb5" : "spnego");

        SHOW(i == 0 ? "delegated, krb5" : "delegated, spnego",
             gss_init_sec_context(&minor, end->delegated, &context, service, mech, 0, 0, NULL,
                                  &none, NULL, &token, NULL, NULL));
        show_token("  would send", &token);
        gss_release_buffer(&minor, &token);
        gss_delete_sec_context(&minor, &context, NULL);
    }
    gss_release_name(&minor, &service);
}

static void clean_up(struct end *end)
{
    OM_uint32 major, minor;

    SHOW("delete", gss_delete_sec_context(&minor, &end->context, NULL));
    SHOW("release", gss_release_cred(&minor, &end->cred));
    gss_release_cred(&minor, &end->delegated);
    gss_release_name(&minor, &end->peer);
    gss_release_name(&minor, &end->target);
}

static void run_end(const char *role)
{
    struct end end = {.role = role, .initiator = role[0] == 'i'};
    const char *bindings = role_option(role, "bindings", NULL);

    show("== %s", role);
    set_environment(role);
    if (bindings != NULL) {
        end.bindings.application_data = text_buffer(bindings);
        end.bound = &end.bindings;
    }
    if (end.initiator)
        end.target = imported(option("target", "HTTP@localhost"),
                              option("target.type", "hostbased"));
    end.counts = yes(&end, "count");
    if (!prepare_cred(&end)) {
        send_frame(ERROR, NULL);
        show("not established");
    } else if (!negotiate(&end)) {
        show("not established");
    } else if (!peer_established()) {
        show("established alone");
    } else {
        show("established");
        inquire(end.context);
        use_delegated(&end);
        if (strcmp(option("messages", "yes"), "few") == 0)
            exchange_few_messages(end.context, end.initiator);
        else if (strcmp(option("messages", "yes"), "no") != 0)
            exchange_messages(end.context, end.initiator);
        if (strcmp(option("export", "none"), "none") != 0 && through_export(&end))
            exchange_messages(end.context, end.initiator);
    }
    if (end.counts)
        show("sent: %d tokens, the largest of %zu octets", end.sent, end.largest);
    show_plugin();
    clean_up(&end);
}

/* ---- both ends ---- */

static void print_all(int file)
{
    char octets[4096];
    ssize_t length;

    lseek(file, 0, SEEK_SET);
    while ((length = read(file, octets, sizeof(octets))) > 0)
        fwrite(octets, 1, (size_t)length, stdout);
}

static int run_both(void)
{
    const char *roles[] = {"initiator", "acceptor"};
    pid_t children[2];
    int sockets[2], outputs[2], failed = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        stop("no socketpair");
    for (int i = 0; i < 2; i++) {
        outputs[i] = memfd_create(roles[i], MFD_CLOEXEC);
        fcntl(sockets[i], F_SETFD, FD_CLOEXEC);
    }
    for (int i = 0; i < 2; i++) {
        /* A child must not hold its peer's end, or it would never see it closed. */
        children[i] = fork();
        if (children[i] == 0) {
            close(sockets[1 - i]);
            dup2(sockets[i], STDIN_FILENO);
            dup2(sockets[i], STDOUT_FILENO);
            close(sockets[i]);
            report = fdopen(outputs[i], "w");
            run_end(roles[i]);
            fclose(report);
            exit(0);
        }
    }
    close(sockets[0]);
    close(sockets[1]);
    for (int i = 0; i < 2; i++) {
        int status = 0;

        waitpid(children[i], &status, 0);
        print_all(outputs[i]);
        if (WIFSIGNALED(status))
            printf("the %s was killed by signal %d\n", roles[i], WTERMSIG(status));
        if (status != 0)
            failed = WIFEXITED(status) ? WEXITSTATUS(status) : 71;
    }
    return failed;
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "both") == 0)
        return run_both();
    if (argc < 2 || (strcmp(argv[1], "initiator") != 0 && strcmp(argv[1], "acceptor") != 0))
        stop("pair both|initiator|acceptor name=value...");
    report = stderr;
    run_end(argv[1]);
    return 0;
}
