/* A program that loads and unloads the library again and again, as plugins of its own would make
 * it. Linked to no library of GSS-API. */
#include <dlfcn.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gss_OID_desc spnego = {6, "\x2b\x06\x01\x05\x05\x02"};

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    if (found == NULL) {
        fprintf(stderr, "reload: %s\n", dlerror());
        exit(70);
    }
    return found;
}

/* What the first leg of an initiator comes to. */
static OM_uint32 first_leg(void *library)
{
    __typeof__(gss_import_name) *import_name = symbol(library, "gss_import_name");
    __typeof__(gss_init_sec_context) *init = symbol(library, "gss_init_sec_context");
    __typeof__(gss_delete_sec_context) *delete = symbol(library, "gss_delete_sec_context");
    __typeof__(gss_release_name) *release_name = symbol(library, "gss_release_name");
    __typeof__(gss_release_buffer) *release_buffer = symbol(library, "gss_release_buffer");
    gss_OID *hostbased = symbol(library, "GSS_C_NT_HOSTBASED_SERVICE");
    gss_buffer_desc text = {14, "HTTP@localhost"}, token = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_name_t target = GSS_C_NO_NAME;
    OM_uint32 minor, major;

    import_name(&minor, &text, *hostbased, &target);
    major = init(&minor, NULL, &context, target, &spnego, GSS_C_MUTUAL_FLAG, 0, NULL, NULL, NULL,
                 &token, NULL, NULL);
    release_buffer(&minor, &token);
    delete(&minor, &context, NULL);
    release_name(&minor, &target);
    return major;
}

static int mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int found = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        found |= strstr(line, name) != NULL && strstr(line, ".so") != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

int main(void)
{
    int loaded = 0;

    for (int round = 0; round < 20; round++) {
        void *library = dlopen("libgssapi_krb5.so.2", RTLD_NOW | RTLD_LOCAL);
        OM_uint32 major;

        if (library == NULL) {
            fprintf(stderr, "reload: %s\n", dlerror());
            return 70;
        }
        major = first_leg(library);
        if (major != GSS_S_CONTINUE_NEEDED)
            printf("round %d: major 0x%x\n", round, major);
        loaded += mapped("gss_spnego");
        dlclose(library);
    }
    printf("rounds: 20\n");
    printf("plugin: %s\n", loaded == 20 ? "loaded" : loaded == 0 ? "not loaded" : "sometimes");
    return 0;
}
