/* Both libraries in one process: an initiator of each signs in to an acceptor of the other, with
 * the four contexts alive at the same time, and from several threads.
 *
 *   both_glues THREADS TIMES [PEER]    the initiator's name begins with PEER, or "user@"
 */
#include <gssapi/gssapi.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The functions used, of one library; the two agree on every type. */
struct library {
    const char *name;
    __typeof__(&gss_import_name) import_name;
    __typeof__(&gss_display_name) display_name;
    __typeof__(&gss_release_name) release_name;
    __typeof__(&gss_init_sec_context) init_sec_context;
    __typeof__(&gss_accept_sec_context) accept_sec_context;
    __typeof__(&gss_delete_sec_context) delete_sec_context;
    __typeof__(&gss_display_status) display_status;
    __typeof__(&gss_wrap) wrap;
    __typeof__(&gss_unwrap) unwrap;
    __typeof__(&gss_release_buffer) release_buffer;
};

static struct library libraries[2] = {{.name = "libgssapi_krb5.so.2"}, {.name = "libgssapi.so.3"}};
static int times;
static const char *name_begins = "user@";

static void fail(const struct library *library, const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    library->display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
    fprintf(stderr, "%s: %s: %#x: %.*s\n", library->name, what, major, (int)text.length,
            (char *)text.value);
    exit(1);
}

static void load(struct library *library)
{
    void *handle = dlopen(library->name, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define FIND(function) library->function = dlsym(handle, "gss_" #function)
    FIND(import_name);
    FIND(display_name);
    FIND(release_name);
    FIND(init_sec_context);
    FIND(accept_sec_context);
    FIND(delete_sec_context);
    FIND(display_status);
    FIND(wrap);
    FIND(unwrap);
    FIND(release_buffer);
}

struct connection {
    const struct library *initiator, *acceptor;
    gss_ctx_id_t initiating, accepting;
};

static void establish(struct connection *connection)
{
    static gss_OID_desc spnego = {6, "\x2b\x06\x01\x05\x05\x02"};
    static gss_OID_desc hostbased = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};
    const struct library *i = connection->initiator, *a = connection->acceptor;
    gss_buffer_desc service = {14, "HTTP@localhost"}, text;
    gss_buffer_desc to_acceptor = GSS_C_EMPTY_BUFFER, to_initiator = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, left = GSS_S_CONTINUE_NEEDED, right = GSS_S_CONTINUE_NEEDED;
    gss_name_t target, peer = GSS_C_NO_NAME;

    major = i->import_name(&minor, &service, &hostbased, &target);
    if (GSS_ERROR(major))
        fail(i, "import_name", major, minor);
    while (left == GSS_S_CONTINUE_NEEDED || right == GSS_S_CONTINUE_NEEDED) {
        left = i->init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &connection->initiating, target,
                                   &spnego, GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG, 0, NULL,
                                   &to_initiator, NULL, &to_acceptor, NULL, NULL);
        if (GSS_ERROR(left))
            fail(i, "init_sec_context", left, minor);
        a->release_buffer(&minor, &to_initiator);
        if (to_acceptor.length == 0)
            break;
        right = a->accept_sec_context(&minor, &connection->accepting, GSS_C_NO_CREDENTIAL,
                                      &to_acceptor, NULL, peer == GSS_C_NO_NAME ? &peer : NULL,
                                      NULL, &to_initiator, NULL, NULL, NULL);
        if (GSS_ERROR(right))
            fail(a, "accept_sec_context", right, minor);
        i->release_buffer(&minor, &to_acceptor);
    }
    if (left != GSS_S_COMPLETE || right != GSS_S_COMPLETE)
        fail(a, "not established", left, right);
    major = a->display_name(&minor, peer, &text, NULL);
    if (GSS_ERROR(major) || text.length < strlen(name_begins) ||
        memcmp(text.value, name_begins, strlen(name_begins)) != 0)
        fail(a, "display_name", major, minor);
    a->release_buffer(&minor, &text);
    a->release_name(&minor, &peer);
    i->release_name(&minor, &target);
}

static void exchange(struct connection *connection)
{
    const struct library *i = connection->initiator, *a = connection->acceptor;
    gss_buffer_desc text = {7, "message"}, sealed, opened;
    OM_uint32 major, minor;
    int conf = 0;

    major = i->wrap(&minor, connection->initiating, 1, 0, &text, &conf, &sealed);
    if (GSS_ERROR(major) || !conf)
        fail(i, "wrap", major, minor);
    major = a->unwrap(&minor, connection->accepting, &sealed, &opened, NULL, NULL);
    if (GSS_ERROR(major) || opened.length != 7 || memcmp(opened.value, "message", 7) != 0)
        fail(a, "unwrap", major, minor);
    i->release_buffer(&minor, &sealed);
    a->release_buffer(&minor, &opened);
}

static void end(struct connection *connection)
{
    OM_uint32 minor;

    connection->initiator->delete_sec_context(&minor, &connection->initiating, NULL);
    connection->acceptor->delete_sec_context(&minor, &connection->accepting, NULL);
}

static void *work(void *unused)
{
    (void)unused;
    for (int time = 0; time < times; time++) {
        struct connection there = {.initiator = &libraries[0], .acceptor = &libraries[1]};
        struct connection back = {.initiator = &libraries[1], .acceptor = &libraries[0]};

        establish(&there);
        establish(&back);
        exchange(&there);
        exchange(&back);
        end(&there);
        exchange(&back);
        end(&back);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[16];
    int count = argc > 1 ? atoi(argv[1]) : 1;
    FILE *maps;
    char line[4096];
    int plugin = 0;

    times = argc > 2 ? atoi(argv[2]) : 1;
    name_begins = argc > 3 ? argv[3] : name_begins;
    load(&libraries[0]);
    load(&libraries[1]);
    for (int i = 0; i < count && i < 16; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < count && i < 16; i++)
        pthread_join(threads[i], NULL);
    maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof(line), maps) != NULL)
        plugin |= strstr(line, "gss_spnego") != NULL;
    printf("done, plugin: %s\n", plugin ? "loaded" : "not loaded");
    return 0;
}
