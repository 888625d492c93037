"""Log in to an IMAP server by GSS-SPNEGO: imap_login.py PORT [good|damaged]

With `damaged`, the first token is not what GSS-API made. Prints what the server answers.
"""

import imaplib
import sys

import gssapi

SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")


def damaged(token):
    middle = len(token) // 2
    return token[:middle] + bytes(8) + token[middle + 8 :]


def main():
    server = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
    context = gssapi.SecurityContext(
        name=gssapi.Name("imap@localhost", gssapi.NameType.hostbased_service),
        mech=SPNEGO,
        usage="initiate",
        flags=gssapi.RequirementFlag.mutual_authentication,
    )

    def answer(challenge):
        if not context.complete:
            token = context.step(challenge or None) or b""
            return damaged(token) if sys.argv[2] == "damaged" else token
        # RFC 4752 section 3.1: the server's security layers, and none of them chosen.
        layers = context.unwrap(challenge).message
        print("layers", layers[0])
        return context.wrap(b"\x01\x00\x00\x00user@SPNEGO.TEST", False).message

    try:
        print(server.authenticate("GSS-SPNEGO", answer))
        print("selected", server.select()[0])
    except imaplib.IMAP4.error as error:
        print("refused:", error)
    except gssapi.exceptions.GSSError as error:
        print("no token:", error)


main()
