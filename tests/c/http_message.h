/* Just enough of HTTP/1.1 for the two examples: one message from a socket, with its body. */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

struct message {
    char text[160 * 1024]; /* first line, fields, empty line, body */
    size_t filled;         /* octets in text, which may reach into the next message */
    char *fields;          /* the first field */
    size_t fields_length;  /* up to the empty line, exclusive */
    char *body;
    size_t body_length;
};

/* Read the next message of the connection. False at its end, or when it is no message. */
bool read_message(int connection, struct message *message);

/* Write all of it. */
bool write_all(int connection, const char *text, size_t length);

/* Print the lines of a header section, each after a mark. */
void print_fields(char mark, const char *fields, size_t length);

#endif
