#define _GNU_SOURCE
#include "http_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static size_t content_length(const char *fields, size_t length)
{
    static const char name[] = "content-length:";
    const char *line = fields, *end = fields + length;

    while (line < end) {
        if (strncasecmp(line, name, strlen(name)) == 0)
            return strtoul(line + strlen(name), NULL, 10);
        line = memchr(line, '\n', (size_t)(end - line));
        if (line == NULL)
            break;
        line++;
    }
    return 0;
}

static bool more(int connection, struct message *message)
{
    size_t room = sizeof message->text - 1 - message->filled;
    ssize_t got = room == 0 ? 0 : recv(connection, message->text + message->filled, room, 0);

    if (got <= 0)
        return false;
    message->filled += (size_t)got;
    message->text[message->filled] = '\0';
    return true;
}

bool read_message(int connection, struct message *message)
{
    /* What came in after the last message stands behind its body. */
    if (message->body != NULL) {
        size_t used = (size_t)(message->body - message->text) + message->body_length;

        message->filled -= used;
        memmove(message->text, message->text + used, message->filled);
    }
    message->body = NULL;
    message->text[message->filled] = '\0';

    char *empty_line;
    while ((empty_line = strstr(message->text, "\r\n\r\n")) == NULL)
        if (!more(connection, message))
            return false;
    message->fields = strstr(message->text, "\r\n") + 2;
    message->body = empty_line + 4;
    message->fields_length =
        empty_line + 2 > message->fields ? (size_t)(empty_line + 2 - message->fields) : 0;
    message->body_length = content_length(message->fields, message->fields_length);

    size_t whole = (size_t)(message->body - message->text) + message->body_length;
    while (message->filled < whole)
        if (!more(connection, message))
            return false;
    return true;
}

bool write_all(int connection, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(connection, text, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        text += sent;
        length -= (size_t)sent;
    }
    return true;
}

void print_fields(char mark, const char *fields, size_t length)
{
    const char *end = fields + length;

    while (fields < end) {
        const char *line_end = memchr(fields, '\r', (size_t)(end - fields));

        if (line_end == NULL || line_end == fields)
            break;
        printf("%c %.*s\n", mark, (int)(line_end - fields), fields);
        fields = line_end + 2;
    }
}
