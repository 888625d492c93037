/* A program of Heimdal's: fetches a page over HTTP, signing in with Negotiate (RFC 4559), prints what it
 * was told, and stays until its input ends.   heimdal_client HOST PORT PATH */
#include <gssapi/gssapi.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 16 };

static void fail(const char *what, OM_uint32 minor)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_SPNEGO_MECHANISM, &more, &text);
    fprintf(stderr, "%s: %.*s\n", what, (int)text.length, (char *)text.value);
    exit(1);
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void to_base64(const gss_buffer_desc *token, char *text)
{
    const unsigned char *octets = token->value;

    for (size_t i = 0; i < token->length; i += 3) {
        size_t left = token->length - i;
        unsigned long group = octets[i] << 16 | (left > 1 ? octets[i + 1] << 8 : 0) |
                              (left > 2 ? octets[i + 2] : 0);

        *text++ = digits[group >> 18 & 63];
        *text++ = digits[group >> 12 & 63];
        *text++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[group & 63] : '=';
    }
    *text = '\0';
}

/* In its own place: the octets are fewer. */
static gss_buffer_desc from_base64(char *text)
{
    gss_buffer_desc token = {0, text};
    unsigned long group = 0;
    int bits = 0;

    for (const char *digit; *text != '\0' && (digit = strchr(digits, *text)) != NULL; text++) {
        group = (group << 6 | (unsigned long)(digit - digits)) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            ((unsigned char *)token.value)[token.length++] = (unsigned char)(group >> bits);
        }
    }
    return token;
}

/* Send a request and read the whole answer. */
static void ask(const char *host, const char *port, const char *request, char *answer)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *address;
    size_t filled = 0;
    ssize_t got;
    int server;

    if (getaddrinfo(host, port, &hints, &address) != 0 ||
        (server = socket(address->ai_family, address->ai_socktype, 0)) < 0 ||
        connect(server, address->ai_addr, address->ai_addrlen) != 0 ||
        write(server, request, strlen(request)) != (ssize_t)strlen(request)) {
        perror(host);
        exit(1);
    }
    while ((got = read(server, answer + filled, MOST - 1 - filled)) > 0)
        filled += (size_t)got;
    answer[filled] = '\0';
    close(server);
    freeaddrinfo(address);
}

int main(int argc, char **argv)
{
    static const char challenge[] = "WWW-Authenticate: Negotiate ";
    static char name[512], base64[MOST], request[2 * MOST], answer[MOST];
    gss_buffer_desc text = {0, name}, input = GSS_C_EMPTY_BUFFER, output = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_name_t target = GSS_C_NO_NAME;
    OM_uint32 major, minor;
    gss_OID mech = GSS_C_NO_OID;
    char *found = NULL, *page = NULL;

    if (argc != 4)
        return 2;
    text.length = (size_t)snprintf(name, sizeof(name), "HTTP@%s", argv[1]);
    if (GSS_ERROR(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &target)))
        fail("gss_import_name", minor);
    do {
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &context, target,
                                     GSS_SPNEGO_MECHANISM, GSS_C_MUTUAL_FLAG, 0, NULL, &input, &mech,
                                     &output, NULL, NULL);
        if (GSS_ERROR(major))
            fail("gss_init_sec_context", minor);
        if (output.length == 0)
            break;
        if (output.length > MOST / 2)
            return 1;
        to_base64(&output, base64);
        snprintf(request, sizeof(request),
                 "GET %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Negotiate %s\r\n\r\n", argv[3],
                 argv[1], base64);
        ask(argv[1], argv[2], request, answer);
        page = strstr(answer, "\r\n\r\n");
        found = strstr(answer, challenge);
        if (found != NULL)
            input = from_base64(found + strlen(challenge));
        gss_release_buffer(&minor, &output);
    } while (major == GSS_S_CONTINUE_NEEDED && found != NULL);
    if (major != GSS_S_COMPLETE) {
        fprintf(stderr, "not signed in: %.40s\n", answer);
        return 1;
    }
    printf("signed in by mechanism %s, the server has proved itself\n",
           gss_oid_equal(mech, GSS_KRB5_MECHANISM) ? "krb5" : "(another)");
    printf("%s", page == NULL ? "" : page + 4);
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    gss_delete_sec_context(&minor, &context, NULL);
    gss_release_name(&minor, &target);
    return 0;
}
