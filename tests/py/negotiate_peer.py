"""One end of a connection with somebody else's SPNEGO over NTLM, for tests/ntlm_negotiate.rs.

    negotiate_peer.py pyspnego|impacket|ntlm_auth initiator|acceptor NAME=VALUE...
      user=, password=, domain=   who signs in, or for an acceptor who may
      directory=PATH   where Samba may keep what it needs
      ntlm_auth=PATH   Samba's helper

pyspnego's acceptor finds its users in NTLM_USER_FILE. Samba's helper has no messages.
"""

import base64
import os
import subprocess
import sys

from frames import MESSAGE, peer_is_done, receive, send, show

HOST, SERVICE = "localhost", "HTTP"


class Pyspnego:
    def __init__(self, role, options):
        import spnego

        common = {
            "protocol": "negotiate",
            "options": spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.use_ntlm,
            "context_req": spnego.ContextReq.default | spnego.ContextReq.confidentiality,
            "hostname": HOST,
            "service": SERVICE,
        }
        if role == "initiator":
            user = f"{options['domain']}\\{options['user']}"
            self.context = spnego.client(user, options["password"], **common)
        else:
            self.context = spnego.server(**common)

    def step(self, token):
        return self.context.step(token), self.context.complete

    def wrap(self, message):
        return self.context.wrap(message).data

    def unwrap(self, token):
        return self.context.unwrap(token).data

    def sign(self, message):
        return self.context.sign(message)

    def verify(self, message, mic):
        self.context.verify(message, mic)


class Impacket:
    """A client only, and one without a MIC in AUTHENTICATE_MESSAGE or of the list of mechanisms."""

    def __init__(self, role, options):
        from impacket import ntlm, spnego

        self.ntlm, self.spnego, self.options = ntlm, spnego, options
        self.type1 = None
        self.answered = False

    def step(self, token):
        if self.type1 is None:
            # gss-ntlmssp takes no message without a version.
            self.version = self.ntlm.VERSION().getData()
            self.type1 = self.ntlm.getNTLMSSPType1(
                "PEER", self.options["domain"], signingRequired=True, version=self.version)
            init = self.spnego.SPNEGO_NegTokenInit()
            init["MechTypes"] = [
                self.spnego.TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]]
            init["MechToken"] = self.type1.getData()
            return init.getData(), False
        answer = self.spnego.SPNEGO_NegTokenResp(token)
        if self.answered:
            # accept-completed.
            if answer["NegState"] != b"\0":
                raise PermissionError("rejected")
            return None, True
        self.answered = True
        type3, session_key = self.ntlm.getNTLMSSPType3(
            self.type1, answer["ResponseToken"], self.options["user"], self.options["password"],
            self.options["domain"], service=SERVICE, version=self.version)
        # impacket counts the place of a MIC, and leaves it out.
        type3["MIC"] = bytes(16)
        self.directions = {}
        for side in ("Client", "Server"):
            from Cryptodome.Cipher import ARC4

            sealing = self.ntlm.SEALKEY(type3["flags"], session_key, side)
            signing = self.ntlm.SIGNKEY(type3["flags"], session_key, side)
            self.directions[side] = [signing, ARC4.new(sealing).encrypt, 0]
        self.flags = type3["flags"]
        resp = self.spnego.SPNEGO_NegTokenResp()
        resp["ResponseToken"] = type3.getData()
        return resp.getData(), False

    def signature(self, side, message):
        signing, encrypt, sequence = self.directions[side]
        self.directions[side][2] += 1
        return self.ntlm.SIGN(self.flags, signing, message, sequence, encrypt).getData()

    def wrap(self, message):
        sealed = self.directions["Client"][1](message)
        return self.signature("Client", message) + sealed

    def unwrap(self, token):
        message = self.directions["Server"][1](token[16:])
        self.verify(message, token[:16])
        return message

    def sign(self, message):
        return self.signature("Client", message)

    def verify(self, message, mic):
        if self.signature("Server", message) != mic:
            raise ValueError("wrong signature")


class NtlmAuth:
    """Samba's SPNEGO as a server, in its helper for squid: contexts and their mechListMICs, no messages."""

    def __init__(self, role, options):
        directory = options["directory"]
        config = os.path.join(directory, "smb.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"[global]\nnetbios name = SERVER\nworkgroup = {options['domain']}\n")
            file.write("server role = standalone server\n")
            for what in ("private dir", "state directory", "cache directory", "lock directory",
                         "pid directory"):
                file.write(f"{what} = {directory}\n")
        self.helper = subprocess.Popen(
            [options["ntlm_auth"], f"--configfile={config}", "--helper-protocol=gss-spnego",
             f"--username={options['user']}", f"--domain={options['domain']}",
             f"--password={options['password']}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.ask("SF NTLMSSP_FEATURE_SIGN NTLMSSP_FEATURE_SEAL")
        self.command = "YR"

    def ask(self, command):
        self.helper.stdin.write(command + "\n")
        self.helper.stdin.flush()
        return self.helper.stdout.readline().rstrip("\n").split(" ")

    def step(self, token):
        kind, *words = self.ask(f"{self.command} {base64.b64encode(token).decode()}")
        self.command = "KK"
        if kind not in ("TT", "AF"):
            raise PermissionError(" ".join([kind, *words]))
        octets = base64.b64decode(words[0]) if words[0] != "*" else None
        if kind == "AF":
            show(f"user: {words[-1]}")
        return octets, kind == "AF"


def negotiate(peer, speaks_first):
    """Exchange tokens until this end is done; whether it is."""
    token = None
    if not speaks_first:
        kind, token = receive()
        if kind != b"T":
            return False
    while True:
        try:
            out, done = peer.step(token)
        except Exception as error:
            show(f"failed: {type(error).__name__}: {error}".replace("\n", " "))
            send(b"E")
            return False
        if out:
            send(b"T", out)
        if done:
            send(b"D")
            return True
        kind, token = receive()
        if kind != b"T":
            show("the peer has failed" if kind == b"E" else "the peer is done; this end is not")
            return False


def speak(peer):
    send(b"M", peer.wrap(MESSAGE))
    send(b"M", peer.sign(MESSAGE))


def listen(peer):
    show("unwrap: " + ("as sent" if peer.unwrap(receive()[1]) == MESSAGE else "another"))
    peer.verify(MESSAGE, receive()[1])
    show("verify: as sent")


def main():
    name, role = sys.argv[1:3]
    options = dict(argument.split("=", 1) for argument in sys.argv[3:])
    peers = {"pyspnego": Pyspnego, "impacket": Impacket, "ntlm_auth": NtlmAuth}
    peer = peers[name](role, options)
    initiates = role == "initiator"
    if not negotiate(peer, initiates) or not peer_is_done():
        show("not established")
        sys.exit(1)
    show("established")
    if name == "ntlm_auth":
        return
    if initiates:
        speak(peer)
    listen(peer)
    if not initiates:
        speak(peer)


main()
