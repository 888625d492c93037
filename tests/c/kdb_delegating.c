/* The KDC's db2 module with an answer to "may this service delegate to that one?": web/localhost
 * may, to backend/localhost. Without it S4U2Proxy needs an LDAP database. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <krb5.h>
#include <kdb.h>

#define DB2 "/usr/lib/x86_64-linux-gnu/krb5/plugins/kdb/db2.so"

kdb_vftabl kdb_function_table;

static int is(krb5_const_principal principal, const char *service)
{
    return principal->length == 2 && principal->data[0].length == strlen(service) &&
           memcmp(principal->data[0].data, service, strlen(service)) == 0;
}

static krb5_error_code may_delegate(krb5_context context, krb5_const_principal client,
                                    const krb5_db_entry *server, krb5_const_principal proxy)
{
    (void)context;
    (void)client;
    /* Without a proxy the question is whether the service delegates at all. */
    if (is(server->princ, "web") && (proxy == NULL || is(proxy, "backend")))
        return 0;
    return KRB5KDC_ERR_POLICY;
}

__attribute__((constructor)) static void wrap_db2(void)
{
    void *db2 = dlopen(DB2, RTLD_NOW | RTLD_LOCAL);
    kdb_vftabl *table = db2 == NULL ? NULL : dlsym(db2, "kdb_function_table");

    if (table == NULL) {
        fprintf(stderr, "kdb_delegating: %s\n", dlerror());
        abort();
    }
    memcpy(&kdb_function_table, table, sizeof(kdb_function_table));
    kdb_function_table.check_allowed_to_delegate = may_delegate;
}
