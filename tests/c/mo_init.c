/* What the plugin answers to the glue that loads it:   mo_init GLUE PLUGIN OID-in-hex
 * GLUE is loaded first, by the name that Heimdal's library has; "none": no glue. */
#include <gssapi/gssapi.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    OM_uint32 (*init)(OM_uint32 *, gss_OID, void **, size_t *);
    unsigned char octets[32];
    gss_OID_desc oid = {0, octets};
    OM_uint32 major, minor = 0;
    void *options = NULL, *plugin;
    size_t count = 0;

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
    major = init(&minor, &oid, &options, &count);
    printf("major: %#x minor: %u options: %zu oid: ", major, minor, count);
    for (OM_uint32 i = 0; i < oid.length; i++)
        printf("%02x", octets[i]);
    printf("\n");
    return 0;
}
