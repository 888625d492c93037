#include "common.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

FILE *report;

static int option_count;
static char **options;

void take_options(int argc, char **argv)
{
    option_count = argc;
    options = argv;
    if (report == NULL)
        report = stdout;
}

const char *option(const char *name, const char *otherwise)
{
    size_t length = strlen(name);

    for (int i = option_count - 1; i > 0; i--) {
        if (strncmp(options[i], name, length) == 0 && options[i][length] == '=')
            return options[i] + length + 1;
    }
    return otherwise;
}

const char *role_option(const char *role, const char *name, const char *otherwise)
{
    char full[64];

    snprintf(full, sizeof(full), "%c.%s", role[0], name);
    return option(full, option(name, otherwise));
}

int listed(const char *list, const char *item)
{
    size_t length = strlen(item);

    for (const char *at = list; at != NULL && *at != '\0';) {
        if (strncmp(at, item, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return 1;
        at = strchr(at, ',');
        if (at != NULL)
            at++;
    }
    return 0;
}

void show(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(report, format, arguments);
    va_end(arguments);
    fputc('\n', report);
    fflush(report);
}

void stop(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "harness: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(70);
}

/* A ring of strings, so that several results can stand in one printf. */
static char *scratch(void)
{
    static _Thread_local char ring[8][1024];
    static _Thread_local int next;

    next = (next + 1) % 8;
    ring[next][0] = '\0';
    return ring[next];
}

static void append(char *text, const char *word, const char *between)
{
    if (text[0] != '\0')
        strncat(text, between, 1023 - strlen(text));
    strncat(text, word, 1023 - strlen(text));
}

const char *major_text(OM_uint32 major)
{
    static const char *const routine[] = {
        "COMPLETE",       "BAD_MECH",       "BAD_NAME",         "BAD_NAMETYPE",
        "BAD_BINDINGS",   "BAD_STATUS",     "BAD_MIC",          "NO_CRED",
        "NO_CONTEXT",     "DEFECTIVE_TOKEN", "DEFECTIVE_CREDENTIAL", "CREDENTIALS_EXPIRED",
        "CONTEXT_EXPIRED", "FAILURE",       "BAD_QOP",          "UNAUTHORIZED",
        "UNAVAILABLE",    "DUPLICATE_ELEMENT", "NAME_NOT_MN",   "BAD_MECH_ATTR",
    };
    static const char *const calling[] = {"", "INACCESSIBLE_READ", "INACCESSIBLE_WRITE",
                                          "BAD_STRUCTURE"};
    static const char *const supplementary[] = {"CONTINUE_NEEDED", "DUPLICATE_TOKEN", "OLD_TOKEN",
                                                "UNSEQ_TOKEN", "GAP_TOKEN"};
    char *text = scratch();
    OM_uint32 error = (major >> 16) & 0xff, call = major >> 24;

    if (call != 0)
        append(text, call < 4 ? calling[call] : "CALLING_ERROR", "+");
    if (error != 0)
        append(text, error < 20 ? routine[error] : "ROUTINE_ERROR", "+");
    for (int bit = 0; bit < 5; bit++) {
        if (major & (1u << bit))
            append(text, supplementary[bit], "+");
    }
    return text[0] == '\0' ? "COMPLETE" : text;
}

static const struct {
    OM_uint32 bit;
    const char *word;
} flag_words[] = {
    {GSS_C_DELEG_FLAG, "deleg"},
    {GSS_C_MUTUAL_FLAG, "mutual"},
    {GSS_C_REPLAY_FLAG, "replay"},
    {GSS_C_SEQUENCE_FLAG, "seq"},
    {GSS_C_CONF_FLAG, "conf"},
    {GSS_C_INTEG_FLAG, "integ"},
    {GSS_C_ANON_FLAG, "anon"},
    {GSS_C_PROT_READY_FLAG, "prot_ready"},
    {GSS_C_TRANS_FLAG, "trans"},
    {GSS_C_CHANNEL_BOUND_FLAG, "bound"},
    {GSS_C_DCE_STYLE, "dce"},
    {GSS_C_IDENTIFY_FLAG, "identify"},
    {GSS_C_EXTENDED_ERROR_FLAG, "extended_error"},
    {GSS_C_DELEG_POLICY_FLAG, "deleg_policy"},
};
#define FLAG_WORDS (sizeof(flag_words) / sizeof(flag_words[0]))

const char *flags_text(OM_uint32 flags)
{
    char *text = scratch();

    for (size_t i = 0; i < FLAG_WORDS; i++) {
        if (flags & flag_words[i].bit)
            append(text, flag_words[i].word, ",");
        flags &= ~flag_words[i].bit;
    }
    if (flags != 0) {
        char rest[32];

        snprintf(rest, sizeof(rest), "0x%x", flags);
        append(text, rest, ",");
    }
    return text[0] == '\0' ? "none" : text;
}

OM_uint32 flag_bits(const char *words)
{
    OM_uint32 bits = 0;

    for (size_t i = 0; i < FLAG_WORDS; i++) {
        if (listed(words, flag_words[i].word))
            bits |= flag_words[i].bit;
    }
    return bits;
}

const char *time_text(OM_uint32 seconds)
{
    return seconds == 0 ? "none" : seconds == GSS_C_INDEFINITE ? "indefinite" : "some";
}

const char *usage_text(gss_cred_usage_t usage)
{
    return usage == GSS_C_BOTH ? "both" : usage == GSS_C_INITIATE ? "initiate"
           : usage == GSS_C_ACCEPT ? "accept" : "unknown";
}

static gss_OID_desc oids[] = {
    {6, "\x2b\x06\x01\x05\x05\x02"},
    {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"},
    {9, "\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"},
    {5, "\x2b\x05\x01\x05\x02"},
    {10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"},
    {10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x1e"},
    {6, "\x2b\x06\x01\x05\x02\x05"},
    {6, "\x69\x8e\xfa\x86\xc7\x1c"},
    {4, "\x69\xb9\x05\x01"},
    {4, "\x69\xb9\x05\x02"},
    {4, "\x69\xb9\x05\x03"},
    {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01"},
    {10, "\x2b\x06\x01\x04\x01\xa9\x4a\x16\x01\x01"},
};
static const char *const oid_words[] = {
    "spnego",   "krb5",     "krb5-ms",  "krb5-old", "ntlmssp",        "negoex",      "iakerb",
    "private",  "script-a", "script-b", "script-c", "krb5-principal", "unused",
};
#define OIDS (sizeof(oids) / sizeof(oids[0]))

gss_OID mech_oid(const char *word)
{
    for (size_t i = 0; i < OIDS; i++) {
        if (strcmp(word, oid_words[i]) == 0)
            return &oids[i];
    }
    if (strcmp(word, "none") != 0)
        stop("no mechanism is called %s", word);
    return GSS_C_NO_OID;
}

static void dotted(char *text, const unsigned char *octets, size_t length)
{
    unsigned long arc = 0;
    int first = 1;
    char number[32];

    for (size_t i = 0; i < length; i++) {
        arc = arc << 7 | (octets[i] & 0x7f);
        if (octets[i] & 0x80)
            continue;
        if (first) {
            unsigned long root = arc / 40 > 2 ? 2 : arc / 40;

            snprintf(number, sizeof(number), "%lu.%lu", root, arc - root * 40);
        } else {
            snprintf(number, sizeof(number), "%lu", arc);
        }
        append(text, number, ".");
        first = 0;
        arc = 0;
    }
}

const char *mech_text(gss_const_OID oid)
{
    char *text;

    if (oid == GSS_C_NO_OID)
        return "none";
    for (size_t i = 0; i < OIDS; i++) {
        if (oids[i].length == oid->length && memcmp(oids[i].elements, oid->elements, oid->length) == 0)
            return oid_words[i];
    }
    text = scratch();
    dotted(text, oid->elements, oid->length);
    return text;
}

gss_OID name_type(const char *word)
{
    const struct {
        const char *word;
        gss_OID type;
    } types[] = {
        {"hostbased", GSS_C_NT_HOSTBASED_SERVICE}, {"user", GSS_C_NT_USER_NAME},
        {"uid", GSS_C_NT_MACHINE_UID_NAME},        {"string_uid", GSS_C_NT_STRING_UID_NAME},
        {"anonymous", GSS_C_NT_ANONYMOUS},         {"exported", GSS_C_NT_EXPORT_NAME},
        {"composite", GSS_C_NT_COMPOSITE_EXPORT},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].word, word) == 0)
            return types[i].type;
    }
    return mech_oid(strcmp(word, "principal") == 0 ? "krb5-principal" : word);
}

static int order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void show_mechs(const char *label, gss_OID_set mechs)
{
    char text[1024] = "";

    if (mechs == GSS_C_NO_OID_SET) {
        show("%s: no set", label);
        return;
    }
    /* In alphabetical order: sets have none. */
    const char **words = calloc(mechs->count + 1, sizeof(*words));
    for (size_t i = 0; i < mechs->count; i++)
        words[i] = strdup(mech_text(&mechs->elements[i]));
    qsort(words, mechs->count, sizeof(*words), order);
    for (size_t i = 0; i < mechs->count; i++) {
        append(text, words[i], ",");
        free((void *)words[i]);
    }
    free(words);
    show("%s: [%s]", label, text);
}

gss_OID_set mech_set(const char *words)
{
    OM_uint32 minor;
    gss_OID_set set = GSS_C_NO_OID_SET;
    char *copy, *rest, *word;

    if (strcmp(words, "none") == 0)
        return GSS_C_NO_OID_SET;
    MUST("create_empty_oid_set", gss_create_empty_oid_set(&minor, &set));
    copy = rest = strdup(words);
    while ((word = strsep(&rest, ",")) != NULL) {
        if (*word != '\0')
            MUST("add_oid_set_member", gss_add_oid_set_member(&minor, mech_oid(word), &set));
    }
    free(copy);
    return set;
}

void show_status(const char *label, OM_uint32 major, OM_uint32 minor, gss_OID mech)
{
    OM_uint32 more = 0, ignored;
    int messages = 0;
    gss_buffer_desc text;

    show("%s: %s", label, major_text(major));
    if (!GSS_ERROR(major))
        return;
    do {
        OM_uint32 status = gss_display_status(&ignored, minor, GSS_C_MECH_CODE, mech, &more, &text);

        if (GSS_ERROR(status)) {
            show("minor: (display_status: %s)", major_text(status));
            return;
        }
        show("minor: %.*s", (int)text.length, (char *)text.value);
        if (text.length == 0)
            stop("display_status gave an empty message");
        gss_release_buffer(&ignored, &text);
        if (++messages > 50)
            stop("display_status never ends");
    } while (more != 0);
}

void must(const char *what, OM_uint32 major, OM_uint32 minor)
{
    FILE *usual = report;

    if (!GSS_ERROR(major))
        return;
    report = stderr;
    show_status(what, major, minor, GSS_C_NO_OID);
    report = usual;
    stop("%s failed", what);
}

void show_name(const char *label, gss_name_t name)
{
    OM_uint32 minor, major;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_OID type = GSS_C_NO_OID;

    if (name == GSS_C_NO_NAME) {
        show("%s: no name", label);
        return;
    }
    major = gss_display_name(&minor, name, &text, &type);
    if (GSS_ERROR(major))
        show_status(label, major, minor, GSS_C_NO_OID);
    else
        show("%s: %.*s (%s)", label, (int)text.length, (char *)text.value, mech_text(type));
    gss_release_buffer(&minor, &text);
}

void show_cred(const char *label, gss_cred_id_t cred)
{
    OM_uint32 major, minor, seconds = 0;
    gss_name_t name = GSS_C_NO_NAME;
    gss_cred_usage_t usage = -1;
    gss_OID_set mechs = GSS_C_NO_OID_SET;

    SHOW(label, gss_inquire_cred(&minor, cred, &name, &seconds, &usage, &mechs));
    if (!GSS_ERROR(major)) {
        show_name("  name", name);
        show("  time: %s usage: %s", time_text(seconds), usage_text(usage));
        show_mechs("  mechs", mechs);
    }
    gss_release_name(&minor, &name);
    gss_release_oid_set(&minor, &mechs);
}

gss_buffer_desc text_buffer(const char *text)
{
    gss_buffer_desc buffer = {strlen(text), (void *)text};

    return buffer;
}

int same_buffer(const gss_buffer_desc *a, const gss_buffer_desc *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->value, b->value, a->length) == 0);
}

gss_name_t imported(const char *text, const char *type)
{
    OM_uint32 minor;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc buffer = text_buffer(text);

    if (strcmp(text, "none") == 0)
        return GSS_C_NO_NAME;
    MUST("import_name", gss_import_name(&minor, &buffer, name_type(type), &name));
    return name;
}

gss_key_value_set_desc *cred_store(const char *text)
{
    static gss_key_value_element_desc elements[8];
    static gss_key_value_set_desc store;
    static char copy[2048];
    char *rest = copy, *pair;

    snprintf(copy, sizeof(copy), "%s", text);
    store.count = 0;
    store.elements = elements;
    while ((pair = strsep(&rest, ";")) != NULL && store.count < 8) {
        char *value = strchr(pair, ':');

        if (value == NULL)
            stop("a credential store is key:value;key:value");
        *value = '\0';
        elements[store.count].key = pair;
        elements[store.count].value = value + 1;
        store.count++;
    }
    return &store;
}

int plugin_is_loaded(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int found = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        found |= strstr(line, "gss_spnego") != NULL && strstr(line, ".so") != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

void show_plugin(void)
{
    gss_OID_set attributes = GSS_C_NO_OID_SET;
    OM_uint32 minor;

    /* The glue loads a mechanism when it is first asked for. */
    gss_inquire_attrs_for_mech(&minor, &oids[0], &attributes, NULL);
    gss_release_oid_set(&minor, &attributes);
    show("plugin: %s", plugin_is_loaded() ? "loaded" : "not loaded");
}

/* ---- what a token is, by a walk of its DER ---- */

struct walk {
    const unsigned char *at, *end;
};

/* Enter the next element: its tag, and `inner` on its contents. Zero at the end or when the
 * element does not fit. */
static int next(struct walk *walk, struct walk *inner)
{
    size_t length, octets;
    int tag;

    if (walk->end - walk->at < 2)
        return 0;
    tag = *walk->at++;
    length = *walk->at++;
    if (length & 0x80) {
        octets = length & 0x7f;
        if (octets == 0 || octets > 4 || (size_t)(walk->end - walk->at) < octets)
            return 0;
        for (length = 0; octets > 0; octets--)
            length = length << 8 | *walk->at++;
    }
    if ((size_t)(walk->end - walk->at) < length)
        return 0;
    inner->at = walk->at;
    inner->end = walk->at = walk->at + length;
    return tag;
}

static const char *inner_text(struct walk token)
{
    size_t length = (size_t)(token.end - token.at);
    const unsigned char *octets = token.at;
    struct walk inner, oid;
    char *text = scratch();

    if (length == 0)
        return "empty";
    if (length >= 12 && memcmp(octets, "NTLMSSP", 8) == 0) {
        snprintf(text, 1024, "ntlmssp-%u", octets[8]);
        return text;
    }
    if (octets[0] == 0x6e)
        return "bare-ap-req";
    if (octets[0] == 0x6f)
        return "bare-ap-rep";
    if (octets[0] == 0x7e)
        return "bare-krb-error";
    if (length >= 6 && memcmp(octets, "script", 6) == 0) {
        snprintf(text, 1024, "%.*s", (int)length, (const char *)octets);
        return text;
    }
    if (next(&token, &inner) == 0x60 && next(&inner, &oid) == 0x06) {
        gss_OID_desc mech = {(OM_uint32)(oid.end - oid.at), (void *)oid.at};
        const char *kind = "token";

        if (inner.end - inner.at >= 2 && strncmp(mech_text(&mech), "krb5", 4) == 0) {
            static const char *const kinds[] = {"ap-req", "ap-rep", "krb-error"};

            if (inner.at[1] == 0 && inner.at[0] >= 1 && inner.at[0] <= 3)
                kind = kinds[inner.at[0] - 1];
        }
        if (inner.end - inner.at >= 6 && memcmp(inner.at, "script", 6) == 0)
            snprintf(text, 1024, "%s:%.*s", mech_text(&mech), (int)(inner.end - inner.at), inner.at);
        else
            snprintf(text, 1024, "%s:%s", mech_text(&mech), kind);
        return text;
    }
    return "unknown";
}

static const char *octets_text(struct walk field, int tag)
{
    struct walk inner;

    return next(&field, &inner) == tag ? inner_text(inner) : "malformed";
}

static void show_init(const char *label, struct walk choice)
{
    struct walk fields, field, inner, oid;
    char text[1024] = "";
    int tag;

    if (next(&choice, &fields) != 0x30) {
        show("%s: malformed NegTokenInit", label);
        return;
    }
    while ((tag = next(&fields, &field)) != 0) {
        char word[512];

        switch (tag) {
        case 0xa0:
            snprintf(word, sizeof(word), "mechs=");
            if (next(&field, &inner) != 0x30)
                break;
            while (next(&inner, &oid) == 0x06) {
                gss_OID_desc mech = {(OM_uint32)(oid.end - oid.at), (void *)oid.at};
                size_t used = strlen(word);

                snprintf(word + used, sizeof(word) - used, "%s%s", word[used - 1] == '=' ? "" : ",",
                         mech_text(&mech));
            }
            break;
        case 0xa1:
            snprintf(word, sizeof(word), "reqFlags=yes");
            break;
        case 0xa2:
            snprintf(word, sizeof(word), "mechToken=%.100s", octets_text(field, 0x04));
            break;
        case 0xa3:
            tag = next(&field, &inner);
            snprintf(word, sizeof(word), tag == 0x30 ? "negHints=yes" : "mic=yes");
            break;
        default:
            snprintf(word, sizeof(word), "[%d]=yes", tag & 0x1f);
        }
        append(text, word, " ");
    }
    show("%s: NegTokenInit %s%s", label, text, fields.at == fields.end ? "" : " and more");
}

static void show_resp(const char *label, struct walk choice)
{
    static const char *const states[] = {"accept-completed", "accept-incomplete", "reject",
                                         "request-mic"};
    struct walk fields, field, inner;
    char text[1024] = "";
    int tag;

    if (next(&choice, &fields) != 0x30) {
        show("%s: malformed NegTokenResp", label);
        return;
    }
    while ((tag = next(&fields, &field)) != 0) {
        char word[512];

        switch (tag) {
        case 0xa0:
            if (next(&field, &inner) == 0x0a && inner.end - inner.at == 1 && *inner.at < 4)
                snprintf(word, sizeof(word), "state=%s", states[*inner.at]);
            else
                snprintf(word, sizeof(word), "state=malformed");
            break;
        case 0xa1:
            if (next(&field, &inner) == 0x06) {
                gss_OID_desc mech = {(OM_uint32)(inner.end - inner.at), (void *)inner.at};

                snprintf(word, sizeof(word), "mech=%s", mech_text(&mech));
            }
            break;
        case 0xa2:
            snprintf(word, sizeof(word), "token=%.100s", octets_text(field, 0x04));
            break;
        case 0xa3:
            snprintf(word, sizeof(word), "mic=yes");
            break;
        default:
            snprintf(word, sizeof(word), "[%d]=yes", tag & 0x1f);
        }
        append(text, word, " ");
    }
    show("%s: NegTokenResp %s%s", label, text, fields.at == fields.end ? "" : " and more");
}

void show_token(const char *label, const gss_buffer_desc *token)
{
    struct walk walk = {token->value, (const unsigned char *)token->value + token->length};
    struct walk whole = walk, inner, oid, choice;
    int tag;

    if (token->length == 0) {
        show("%s: empty", label);
        return;
    }
    tag = next(&walk, &inner);
    if (tag == 0x60 && next(&inner, &oid) == 0x06 && oid.end - oid.at == 6 &&
        memcmp(oid.at, oids[0].elements, 6) == 0) {
        tag = next(&inner, &choice);
        if (tag == 0xa0)
            show_init(label, choice);
        else if (tag == 0xa1)
            show_resp(label, choice);
        else
            show("%s: SPNEGO header and nothing known", label);
    } else if (tag == 0xa1) {
        show_resp(label, inner);
    } else {
        show("%s: %s", label, inner_text(whole));
    }
}
