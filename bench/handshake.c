/*
 * Both ends of a handshake in one process, for bench/run to measure.
 *
 *   handshake MECH INNER OFFER CREDS FLAGS TARGET ACTION...
 *
 * MECH is the mechanism called and INNER the one that has to come out, in dots. OFFER are the
 * mechanisms that the initiator's credential is restricted to, with commas; the acceptor's is then
 * restricted to INNER. With "-" neither is. CREDS has one letter for the initiator and one for the
 * acceptor: d the default credential, e one that was acquired before the first handshake, p one
 * acquired for each. FLAGS are the initiator's request flags. What does not end as expected ends
 * the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gssapi/gssapi.h>
#ifdef HEIMDAL
/* It has none; no scenario of its restricts a credential. */
#define gss_set_neg_mechs(minor, cred, mechs) (*(minor) = 0, (void)(mechs), GSS_S_UNAVAILABLE)
#else
#include <gssapi/gssapi_ext.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <valgrind/callgrind.h>

struct end {
    gss_cred_usage_t usage;
    char creds;
    gss_cred_id_t cred;
    gss_OID_set offer;
};

struct pair {
    gss_ctx_id_t initiator, acceptor;
};

static struct {
    gss_OID mech, inner;
    gss_OID_set_desc mechs;
    gss_name_t target;
    OM_uint32 flags;
    struct end initiator, acceptor;
} on = {.initiator = {.usage = GSS_C_INITIATE}, .acceptor = {.usage = GSS_C_ACCEPT}};

/* The minor status of the last call. */
static OM_uint32 minor;

static void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("handshake: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void say_status(OM_uint32 status, int type)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text;

    do {
        if (GSS_ERROR(gss_display_status(&ignored, status, type, on.mech, &more, &text)))
            return;
        fprintf(stderr, "  %.*s\n", (int)text.length, (char *)text.value);
        gss_release_buffer(&ignored, &text);
    } while (more != 0);
}

static void must(OM_uint32 major, const char *call)
{
    if (!GSS_ERROR(major))
        return;
    fprintf(stderr, "handshake: %s: major %#x, minor %#x\n", call, major, minor);
    say_status(major, GSS_C_GSS_CODE);
    say_status(minor, GSS_C_MECH_CODE);
    exit(1);
}

static void acquire(struct end *end)
{
    must(gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &on.mechs, end->usage,
                          &end->cred, NULL, NULL),
         end->usage == GSS_C_INITIATE ? "acquire initiator" : "acquire acceptor");
    if (end->offer != GSS_C_NO_OID_SET)
        must(gss_set_neg_mechs(&minor, end->cred, end->offer), "set_neg_mechs");
}

static void release(struct end *end)
{
    gss_release_cred(&minor, &end->cred);
}

static void establish(struct pair *pair)
{
    gss_buffer_desc to_initiator = GSS_C_EMPTY_BUFFER, to_acceptor = GSS_C_EMPTY_BUFFER;
    OM_uint32 initiate = GSS_S_CONTINUE_NEEDED, accept = GSS_S_CONTINUE_NEEDED, flags;
    gss_name_t source = GSS_C_NO_NAME;
    gss_OID chosen = GSS_C_NO_OID;

    pair->initiator = pair->acceptor = GSS_C_NO_CONTEXT;
    if (on.initiator.creds == 'p')
        acquire(&on.initiator);
    if (on.acceptor.creds == 'p')
        acquire(&on.acceptor);
    while (initiate == GSS_S_CONTINUE_NEEDED || accept == GSS_S_CONTINUE_NEEDED) {
        if (initiate == GSS_S_CONTINUE_NEEDED) {
            initiate = gss_init_sec_context(&minor, on.initiator.cred, &pair->initiator, on.target,
                                            on.mech, on.flags, 0, GSS_C_NO_CHANNEL_BINDINGS,
                                            &to_initiator, &chosen, &to_acceptor, &flags, NULL);
            must(initiate, "init_sec_context");
            gss_release_buffer(&minor, &to_initiator);
        }
        if (accept == GSS_S_CONTINUE_NEEDED) {
            accept = gss_accept_sec_context(&minor, &pair->acceptor, on.acceptor.cred, &to_acceptor,
                                            GSS_C_NO_CHANNEL_BINDINGS, &source, NULL, &to_initiator,
                                            &flags, NULL, NULL);
            must(accept, "accept_sec_context");
        }
        gss_release_buffer(&minor, &to_acceptor);
    }
    gss_release_buffer(&minor, &to_initiator);
    gss_release_name(&minor, &source);
    if (on.initiator.creds == 'p')
        release(&on.initiator);
    if (on.acceptor.creds == 'p')
        release(&on.acceptor);
    if (!gss_oid_equal(chosen, on.inner))
        give_up("another mechanism was chosen than the scenario says");
}

static void drop(struct pair *pair)
{
    gss_delete_sec_context(&minor, &pair->initiator, GSS_C_NO_BUFFER);
    gss_delete_sec_context(&minor, &pair->acceptor, GSS_C_NO_BUFFER);
}

static void handshakes(int count)
{
    struct pair pair;

    while (count-- > 0) {
        establish(&pair);
        drop(&pair);
    }
}

static void zero(void)
{
    CALLGRIND_ZERO_STATS;
}

static void dump(const char *what)
{
    CALLGRIND_DUMP_STATS_AT(what);
}

static void *array(int count, size_t size)
{
    void *elements = calloc(count, size);

    if (elements == NULL)
        give_up("out of memory");
    return elements;
}

static void release_all(gss_buffer_t buffers, int count)
{
    while (count-- > 0)
        gss_release_buffer(&minor, &buffers[count]);
}

static void mics(struct pair *pair, gss_buffer_t message, gss_buffer_t tokens, int count)
{
    int i;

    zero();
    for (i = 0; i < count; i++)
        must(gss_get_mic(&minor, pair->initiator, GSS_C_QOP_DEFAULT, message, &tokens[i]),
             "get_mic");
    dump("get_mic");
    for (i = 0; i < count; i++)
        must(gss_verify_mic(&minor, pair->acceptor, message, &tokens[i], NULL), "verify_mic");
    dump("verify_mic");
    release_all(tokens, count);
}

static void wraps(struct pair *pair, gss_buffer_t message, gss_buffer_t tokens, int count)
{
    gss_buffer_t clear = array(count, sizeof *clear);
    int i;

    zero();
    for (i = 0; i < count; i++)
        must(gss_wrap(&minor, pair->initiator, 1, GSS_C_QOP_DEFAULT, message, NULL, &tokens[i]),
             "wrap");
    dump("wrap");
    for (i = 0; i < count; i++)
        must(gss_unwrap(&minor, pair->acceptor, &tokens[i], &clear[i], NULL, NULL), "unwrap");
    dump("unwrap");
    if (clear[count - 1].length != message->length)
        give_up("a message came out at another length");
    release_all(tokens, count);
    release_all(clear, count);
    free(clear);
}

/* The four parts of one wrapped message; what it carries is encrypted in place. */
static void prepare_iov(gss_iov_buffer_desc *parts, gss_buffer_t message)
{
    parts[0].type = GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE;
    parts[1].type = GSS_IOV_BUFFER_TYPE_DATA;
    parts[1].buffer.length = message->length;
    parts[1].buffer.value = memcpy(array(1, message->length), message->value, message->length);
    parts[2].type = GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE;
    parts[3].type = GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE;
}

static void iovs(struct pair *pair, gss_buffer_t message, int count)
{
    gss_iov_buffer_desc(*parts)[4] = array(count, sizeof *parts);
    int i;

    for (i = 0; i < count; i++)
        prepare_iov(parts[i], message);
    zero();
    for (i = 0; i < count; i++)
        must(gss_wrap_iov(&minor, pair->initiator, 1, GSS_C_QOP_DEFAULT, NULL, parts[i], 4),
             "wrap_iov");
    dump("wrap_iov");
    for (i = 0; i < count; i++)
        must(gss_unwrap_iov(&minor, pair->acceptor, NULL, NULL, parts[i], 4), "unwrap_iov");
    dump("unwrap_iov");
    for (i = 0; i < count; i++) {
        if (memcmp(parts[i][1].buffer.value, message->value, message->length) != 0)
            give_up("a message came out with other octets");
        free(parts[i][1].buffer.value);
        gss_release_iov_buffer(&minor, parts[i], 4);
    }
    free(parts);
}

/* Each kind of message COUNT times after a few to warm up, a dump for each. */
static void messages(int size, int count)
{
    gss_buffer_desc message = {size, array(1, size)};
    gss_buffer_t tokens = array(count, sizeof *tokens);
    struct pair pair;
    int runs;

    establish(&pair);
    for (runs = 0; runs < 2; runs++) {
        mics(&pair, &message, tokens, count);
        wraps(&pair, &message, tokens, count);
        iovs(&pair, &message, count);
    }
    drop(&pair);
    free(tokens);
    free(message.value);
}

static size_t counted(const char *counter)
{
    size_t *value = dlsym(RTLD_DEFAULT, counter);

    if (value == NULL)
        give_up("the counting allocator is not preloaded");
    return *value;
}

/* What the heap grows by over COUNT handshakes, and by COUNT pairs of contexts kept open. */
static void heap(int count)
{
    struct pair *pairs = array(count, sizeof *pairs);
    size_t octets = counted("heap_octets"), requests = counted("heap_requests");
    int i;

    handshakes(count);
    printf("leaked %ld\n", (long)(counted("heap_octets") - octets) / count);
    printf("requests %zu\n", (counted("heap_requests") - requests) / count);
    octets = counted("heap_octets");
    for (i = 0; i < count; i++)
        establish(&pairs[i]);
    printf("pair %ld\n", (long)(counted("heap_octets") - octets) / count);
    for (i = 0; i < count; i++)
        drop(&pairs[i]);
    free(pairs);
}

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/* A number read is that many handshakes made and their microseconds written, until the end. */
static void turns(void)
{
    double start;
    int count;

    while (scanf("%d", &count) == 1) {
        start = microseconds();
        handshakes(count);
        printf("%.3f\n", microseconds() - start);
        fflush(stdout);
    }
}

static void need_loaded(const char *library)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char *line = NULL;
    size_t room = 0;
    int found = 0;

    while (maps != NULL && !found && getline(&line, &room, maps) > 0)
        found = strstr(line, library) != NULL;
    if (!found)
        give_up("%s was not loaded; the built-in was measured", library);
    free(line);
    fclose(maps);
}

static void act(const char *action)
{
    char name[32];
    int count, size;

    if (sscanf(action, "handshakes=%d", &count) == 1)
        handshakes(count);
    else if (sscanf(action, "messages=%d,%d", &size, &count) == 2)
        messages(size, count);
    else if (sscanf(action, "heap=%d", &count) == 1)
        heap(count);
    else if (sscanf(action, "dump=%31s", name) == 1)
        dump(name);
    else if (strncmp(action, "loaded=", 7) == 0)
        need_loaded(action + 7);
    else if (strcmp(action, "zero") == 0)
        zero();
    else if (strcmp(action, "turns") == 0)
        turns();
    else
        give_up("no such action: %s", action);
}

/* The OID of a text in dots. */
static gss_OID oid(const char *dots)
{
    gss_OID made = array(1, sizeof *made);
    unsigned char *octets = array(1, strlen(dots) + 8);
    unsigned long first = 0, arc;
    int arcs = 0, bits;
    char *rest = (char *)dots;

    made->elements = octets;
    do {
        arc = strtoul(rest, &rest, 10);
        if (arcs++ == 0) {
            first = arc;
            continue;
        }
        if (arcs == 2)
            arc += 40 * first;
        for (bits = 28; bits > 0; bits -= 7) {
            if (arc >> bits != 0)
                octets[made->length++] = 0x80 | (arc >> bits & 0x7f);
        }
        octets[made->length++] = arc & 0x7f;
    } while (*rest++ == '.');
    return made;
}

static gss_OID_set oids(char *list)
{
    gss_OID_set made;
    gss_OID member;
    char *dots;

    must(gss_create_empty_oid_set(&minor, &made), "create_empty_oid_set");
    for (dots = strtok(list, ","); dots != NULL; dots = strtok(NULL, ",")) {
        member = oid(dots);
        must(gss_add_oid_set_member(&minor, member, &made), "add_oid_set_member");
        gss_release_oid(&minor, &member);
    }
    return made;
}

static gss_name_t name(const char *service)
{
    gss_buffer_desc text = {strlen(service), (void *)service};
    gss_name_t made;

    must(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &made), "import_name");
    return made;
}

int main(int count, char **arguments)
{
    int i;

    if (count < 8 || strlen(arguments[4]) != 2)
        give_up("MECH INNER OFFER CREDS FLAGS TARGET ACTION...");
    on.mech = oid(arguments[1]);
    on.inner = oid(arguments[2]);
    on.mechs.count = 1;
    on.mechs.elements = on.mech;
    if (strcmp(arguments[3], "-") != 0) {
        on.initiator.offer = oids(arguments[3]);
        on.acceptor.offer = oids(arguments[2]);
    }
    on.initiator.creds = arguments[4][0];
    on.acceptor.creds = arguments[4][1];
    on.flags = strtoul(arguments[5], NULL, 0);
    on.target = name(arguments[6]);
    if (on.initiator.creds == 'e')
        acquire(&on.initiator);
    if (on.acceptor.creds == 'e')
        acquire(&on.acceptor);
    for (i = 7; i < count; i++)
        act(arguments[i]);
    return 0;
}
