/*
 * An HTTP server that has its clients sign in with Negotiate or Nego2: an example of
 * include/gss_spnego.h.
 *
 *   http_server [-n] [-N] [-c] [-p] [-2] [-v]
 *
 * Listens on a port of the loopback, which it prints, until it is killed. -n: offer Negotiate. -N:
 * offer Nego2. -c: authentication is good for the connection. -p: be a proxy. -2: the rules of
 * HTTP/2 (the messages stay those of HTTP/1.1). -v: print every header line that has to do with it.
 */
#define _GNU_SOURCE
#include "http_message.h"

#include <arpa/inet.h>
#include <gss_spnego.h>
#include <gssapi/gssapi_ext.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool verbose;

static gss_spnego_http_server *server_of_connection(OM_uint32 options)
{
    gss_spnego_http_server *server;
    gss_buffer_desc reason = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    if (gss_spnego_http_server_new(&minor, GSS_C_NO_CREDENTIAL, GSS_C_NO_BUFFER, options, &server,
                                   &reason) != GSS_S_COMPLETE)
        printf("no server: %.*s\n", (int)reason.length, (char *)reason.value);
    gss_release_buffer(&minor, &reason);
    return server;
}

/* Who signed in, as a line. */
static void describe_client(gss_spnego_http_server *server, char *line, size_t size)
{
    gss_buffer_desc peer = GSS_C_EMPTY_BUFFER, mech_text = GSS_C_EMPTY_BUFFER;
    gss_OID mech;
    OM_uint32 minor, flags;

    if (gss_spnego_http_server_inquire(&minor, server, &peer, &mech, &flags) != GSS_S_COMPLETE) {
        fprintf(stderr, "a request is served to nobody\n");
        exit(1);
    }
    gss_oid_to_str(&minor, mech, &mech_text);
    snprintf(line, size, "Hello %.*s, by %s\n", (int)peer.length, (char *)peer.value,
             (char *)mech_text.value);
    gss_release_buffer(&minor, &peer);
    gss_release_buffer(&minor, &mech_text);
}

static const char *phrase(OM_uint32 status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 407: return "Proxy Authentication Required";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static bool respond(int connection, OM_uint32 status, const gss_buffer_desc *reply,
                    const char *body)
{
    char text[160 * 1024];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 %u %s\r\n%.*sContent-Type: text/plain\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          status, phrase(status), (int)reply->length, (const char *)reply->value,
                          strlen(body), body);

    if (verbose) {
        printf("< HTTP/1.1 %u %s\n", status, phrase(status));
        print_fields('<', reply->value, reply->length);
    }
    return (size_t)length < sizeof text && write_all(connection, text, (size_t)length);
}

static void serve(int connection, OM_uint32 options)
{
    static struct message request;
    gss_spnego_http_server *server = server_of_connection(options);
    bool goes_on = server != NULL;
    OM_uint32 minor;

    while (goes_on && read_message(connection, &request)) {
        gss_buffer_desc fields = {request.fields_length, request.fields};
        gss_buffer_desc reply = GSS_C_EMPTY_BUFFER, reason = GSS_C_EMPTY_BUFFER;
        char body[1024] = "Sign in\n";
        OM_uint32 status;

        printf("> %.*s\n", (int)strcspn(request.text, "\r"), request.text);
        if (verbose)
            print_fields('>', request.fields, request.fields_length);
        gss_spnego_http_server_request(&minor, server, &fields, &status, &reply, &reason);
        if (reason.length > 0)
            printf("refused: %.*s\n", (int)reason.length, (char *)reason.value);
        if (status == GSS_SPNEGO_HTTP_SERVE) {
            describe_client(server, body, sizeof body);
            printf("%s", body);
            status = 200;
        } else if (status == GSS_SPNEGO_HTTP_1_1_REQUIRED) {
            status = 505; /* There is no stream to reset in HTTP/1.1. */
        }
        goes_on = respond(connection, status, &reply, body) && status != 400 && status != 500;
        gss_release_buffer(&minor, &reply);
        gss_release_buffer(&minor, &reason);
    }
    gss_spnego_http_server_release(&minor, &server);
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("listen");
        exit(2);
    }
    printf("port %u\n", ntohs(address.sin_port));
    return listener;
}

int main(int argc, char **argv)
{
    OM_uint32 options = 0, minor;
    int option;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((option = getopt(argc, argv, "nNcp2v")) != -1) {
        switch (option) {
        case 'n': options |= GSS_SPNEGO_HTTP_NEGOTIATE; break;
        case 'N': options |= GSS_SPNEGO_HTTP_NEGO2; break;
        case 'c': options |= GSS_SPNEGO_HTTP_CONNECTION; break;
        case 'p': options |= GSS_SPNEGO_HTTP_PROXY; break;
        case '2': options |= GSS_SPNEGO_HTTP_VERSION_2; break;
        case 'v': verbose = true; break;
        default: return 2;
        }
    }
    /* Options that contradict each other are told now, not to the first client. */
    gss_spnego_http_server *trial = server_of_connection(options);
    if (trial == NULL)
        return 1;
    gss_spnego_http_server_release(&minor, &trial);

    signal(SIGCHLD, SIG_IGN);
    int listener = listen_somewhere();
    for (;;) {
        int connection = accept(listener, NULL, NULL);

        if (connection < 0)
            return 2;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(listener);
            serve(connection, options);
            exit(0);
        }
        close(connection);
    }
}
