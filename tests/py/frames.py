"""The frames of a connection, as in tests/c/channel.c: they come on descriptor 0 and go to descriptor
1, and the report goes to descriptor 2."""

import os
import struct
import sys

MESSAGE = b"a message of thirty-three octets."


def show(text):
    print(text, file=sys.stderr, flush=True)


def send(kind, octets=b""):
    # Kind, length in host order, octets.
    frame = kind + struct.pack("=I", len(octets)) + octets
    while frame:
        frame = frame[os.write(1, frame):]


def take(length):
    octets = b""
    while len(octets) < length:
        more = os.read(0, length - len(octets))
        if not more:
            return None
        octets += more
    return octets


def receive():
    head = take(5)
    if head is None:
        return None, b""
    return head[:1], take(struct.unpack("=I", head[1:])[0])


def peer_is_done():
    while True:
        kind, _ = receive()
        if kind != b"T":
            return kind == b"D"
