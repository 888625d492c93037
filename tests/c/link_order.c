/*
 * Whose functions a program gets that is linked with libgssapi_krb5 and libgss_spnego, in whatever
 * order. With an argument: dlopen that library, make a client with it, and be linked with neither.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <gss_spnego.h>

static void print_origin(const char *name, void *function)
{
    Dl_info info;

    if (dladdr(function, &info) == 0 || info.dli_fname == NULL)
        printf("%s nowhere\n", name);
    else
        printf("%s %s\n", name, strrchr(info.dli_fname, '/') + 1);
}

#ifdef LINKED
#define ORIGIN(name) print_origin(#name, (void *)name)
#define NEW gss_spnego_http_client_new
#define RELEASE gss_spnego_http_client_release
#else
#define ORIGIN(name) print_origin(#name, dlsym(library, #name))
#define NEW new_client
#define RELEASE release_client
#endif

int main(int argc, char **argv)
{
#ifndef LINKED
    __typeof__(gss_spnego_http_client_new) *new_client;
    __typeof__(gss_spnego_http_client_release) *release_client;
    void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    *(void **)&new_client = dlsym(library, "gss_spnego_http_client_new");
    *(void **)&release_client = dlsym(library, "gss_spnego_http_client_release");
    ORIGIN(gss_spnego_http_client_new);
#else
    (void)argc;
    (void)argv;
    ORIGIN(gss_init_sec_context);
    ORIGIN(gss_accept_sec_context);
    ORIGIN(gss_import_name);
    ORIGIN(gss_release_buffer);
    ORIGIN(gss_spnego_http_client_new);
#endif

    gss_buffer_desc host = {9, "localhost"};
    gss_spnego_http_client *client = NULL;
    OM_uint32 minor;
    OM_uint32 major =
        NEW(&minor, GSS_C_NO_CREDENTIAL, &host, 0, GSS_C_NO_BUFFER, 0, &client, GSS_C_NO_BUFFER);

    printf("client %s\n", major == GSS_S_COMPLETE && client != NULL ? "made" : "refused");
    RELEASE(&minor, &client);
    printf("client %s\n", client == NULL ? "released" : "left");
    return 0;
}
