/*
 * An HTTP client that signs in with Negotiate or Nego2: an example of include/gss_spnego.h.
 *
 *   http_client [-p] [-2] [-f] [-u] [-v] HOST PORT PATH...
 *
 * Gets each PATH from HOST, all over one connection to PORT of the loopback, and says how. -p: the
 * other side is a proxy. -2: the rules of HTTP/2 (the messages stay those of HTTP/1.1). -f:
 * requests are forwarded by a proxy. -u: authenticate unasked. -v: print every header line.
 */
#include "http_message.h"

#include <arpa/inet.h>
#include <gss_spnego.h>
#include <gssapi/gssapi_ext.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct options {
    OM_uint32 handle;
    bool unasked;
    bool verbose;
    const char *host;
};

static int connect_to(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM, 0);

    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(2);
    }
    return connection;
}

static bool send_request(int connection, const struct options *options, const char *path,
                         const gss_buffer_desc *field)
{
    char request[160 * 1024];
    int length = snprintf(request, sizeof request, "GET %s%s%s HTTP/1.1\r\nHost: %s\r\n%.*s\r\n",
                          options->handle & GSS_SPNEGO_HTTP_PROXY ? "http://" : "",
                          options->handle & GSS_SPNEGO_HTTP_PROXY ? options->host : "", path,
                          options->host, (int)field->length, (const char *)field->value);

    if (options->verbose)
        print_fields('>', request, (size_t)length);
    return (size_t)length < sizeof request && write_all(connection, request, (size_t)length);
}

static void print_peer(gss_spnego_http_client *client)
{
    gss_buffer_desc peer = GSS_C_EMPTY_BUFFER, mech_text = GSS_C_EMPTY_BUFFER;
    gss_OID mech;
    OM_uint32 minor, flags;
    int persistent;
    OM_uint32 major =
        gss_spnego_http_client_inquire(&minor, client, &peer, &mech, &flags, &persistent);

    if (major == GSS_S_COMPLETE) {
        gss_oid_to_str(&minor, mech, &mech_text);
        printf(" peer %.*s mech %s mutual %d", (int)peer.length, (char *)peer.value,
               (char *)mech_text.value, (flags & GSS_C_MUTUAL_FLAG) != 0);
    }
    printf(" persistent %d\n", persistent);
    gss_release_buffer(&minor, &peer);
    gss_release_buffer(&minor, &mech_text);
}

/* Send the request until its response is one to use. */
static bool get(int connection, gss_spnego_http_client *client, const struct options *options,
                const char *path, struct message *response)
{
    gss_buffer_desc field = GSS_C_EMPTY_BUFFER, reason = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = GSS_S_COMPLETE, verdict = GSS_SPNEGO_HTTP_REPEAT;
    int status = 0;

    if (options->unasked)
        major = gss_spnego_http_client_begin(&minor, client, &field, &reason);
    while (major == GSS_S_COMPLETE &&
           (verdict == GSS_SPNEGO_HTTP_REPEAT || verdict == GSS_SPNEGO_HTTP_INTERIM)) {
        if (verdict == GSS_SPNEGO_HTTP_REPEAT &&
            !send_request(connection, options, path, &field))
            break;
        gss_release_buffer(&minor, &field);
        if (!read_message(connection, response)) {
            printf("%s the connection was closed\n", path);
            return false;
        }
        status = atoi(response->text + strlen("HTTP/1.1 "));
        if (options->verbose) {
            printf("< %.*s\n", (int)strcspn(response->text, "\r"), response->text);
            print_fields('<', response->fields, response->fields_length);
        }
        gss_buffer_desc fields = {response->fields_length, response->fields};
        major = gss_spnego_http_client_response(&minor, client, (OM_uint32)status, &fields,
                                                &verdict, &field, &reason);
    }
    if (major == GSS_S_COMPLETE) {
        printf("%s %d %s", path, status,
               verdict == GSS_SPNEGO_HTTP_AUTHENTICATED ? "authenticated" : "unconcerned");
        print_peer(client);
    } else {
        printf("%s %d failed (%#x): %.*s\n", path, status, minor, (int)reason.length,
               (char *)reason.value);
    }
    gss_release_buffer(&minor, &field);
    gss_release_buffer(&minor, &reason);
    return major == GSS_S_COMPLETE;
}

int main(int argc, char **argv)
{
    static struct message response;
    struct options options = {0};
    int option;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((option = getopt(argc, argv, "p2fuv")) != -1) {
        switch (option) {
        case 'p': options.handle |= GSS_SPNEGO_HTTP_PROXY; break;
        case '2': options.handle |= GSS_SPNEGO_HTTP_VERSION_2; break;
        case 'f': options.handle |= GSS_SPNEGO_HTTP_FORWARDED; break;
        case 'u': options.unasked = true; break;
        case 'v': options.verbose = true; break;
        default: return 2;
        }
    }
    if (argc - optind < 3) {
        fprintf(stderr, "usage: http_client [-p2fuv] HOST PORT PATH...\n");
        return 2;
    }
    options.host = argv[optind];

    gss_spnego_http_client *client;
    gss_buffer_desc host = {strlen(options.host), argv[optind]}, reason;
    OM_uint32 minor, major;

    major = gss_spnego_http_client_new(&minor, GSS_C_NO_CREDENTIAL, &host, 0, GSS_C_NO_BUFFER,
                                       options.handle, &client, &reason);
    if (major != GSS_S_COMPLETE) {
        printf("no client: %.*s\n", (int)reason.length, (char *)reason.value);
        gss_release_buffer(&minor, &reason);
        return 1;
    }
    int connection = connect_to(argv[optind + 1]);
    bool fine = true;
    for (int path = optind + 2; fine && path < argc; path++) {
        fine = get(connection, client, &options, argv[path], &response);
        if (fine)
            printf("| %.*s\n", (int)strcspn(response.body, "\n"), response.body);
    }
    close(connection);
    gss_spnego_http_client_release(&minor, &client);
    return fine ? 0 : 1;
}
