/* What the plugin answers to the glue that loads it:   mo_init GLUE PLUGIN OID-in-hex [moved]
 * GLUE is loaded first, by the name that Heimdal's library has; "none": no glue. "moved": two
 * functions of the entry are not where Heimdal 7 has them. */
#include <gssapi/gssapi.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The end of an entry of Heimdal 7's list, with what it has looked up in the plugin. */
struct entry {
    void *others[29];
    void *store_cred, *export_cred, *import_cred, *acquire_cred_ext;
    void *unfilled[6];
    void *options;
    size_t count;
};

int main(int argc, char **argv)
{
    OM_uint32 (*init)(OM_uint32 *, gss_OID, void **, size_t *);
    unsigned char octets[32];
    gss_OID_desc oid = {0, octets};
    OM_uint32 major, minor = 0;
    struct entry entry = {.options = NULL};
    void *plugin;

    if (argc < 4)
        return 2;
    if (strcmp(argv[1], "none") != 0 && dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    plugin = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    for (const char *hex = argv[3]; hex[0] != '\0'; hex += 2) {
        char digits[3] = {hex[0], hex[1], '\0'};

        octets[oid.length++] = (unsigned char)strtoul(digits, NULL, 16);
    }
    *(void **)&init = dlsym(plugin, "gss_mo_init");
    entry.store_cred = dlsym(plugin, "gss_store_cred");
    entry.export_cred = dlsym(plugin, "gss_export_cred");
    entry.import_cred = dlsym(plugin, "gss_import_cred");
    if (argc > 4) {
        entry.store_cred = entry.export_cred;
        entry.export_cred = dlsym(plugin, "gss_store_cred");
    }
    major = init(&minor, &oid, &entry.options, &entry.count);
    printf("major: %#x minor: %u options: %zu password: %s oid: ", major, minor, entry.count,
           entry.acquire_cred_ext == NULL ? "no" : "yes");
    for (OM_uint32 i = 0; i < oid.length; i++)
        printf("%02x", octets[i]);
    printf("\n");
    return 0;
}
