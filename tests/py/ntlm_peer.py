"""A peer for tests/ntlm_peers.rs: one side of an NTLM exchange, driven over stdin.

Arguments: pyspnego | impacket | samba, initiate | accept, and then key=value: user, password,
target, bindings (hex of the application data), protect (sign | seal).

Each line on stdin is a command with arguments in hex ("-" when empty); each gets one line:
  step TOKEN         -> "token HEX", "done HEX" or "error TEXT"
  wrap MESSAGE, unwrap TOKEN, mic MESSAGE, verify MESSAGE MIC,
  listmic LIST, listverify LIST MIC  (and then put the key stream back),
  key, name          -> "ok HEX" or "error TEXT"
"""

import base64
import os
import subprocess
import sys


def main():
    peer, role, *rest = sys.argv[1:]
    options = dict(word.split("=", 1) for word in rest)
    sides = {
        ("pyspnego", "initiate"): Pyspnego,
        ("pyspnego", "accept"): Pyspnego,
        ("impacket", "initiate"): Impacket,
        ("samba", "initiate"): Samba,
        ("samba", "accept"): NtlmAuth,
    }
    side = sides[peer, role](role, options)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            answer = getattr(side, command)(*(unhex(word) for word in words))
            kind, octets = answer if isinstance(answer, tuple) else ("ok", answer)
            print(kind, (octets or b"").hex() or "-", flush=True)
        except Exception as error:
            print("error", type(error).__name__, str(error).replace("\n", " "), flush=True)


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


class Pyspnego:
    def __init__(self, role, options):
        import spnego
        from spnego.channel_bindings import GssChannelBindings

        flags = spnego.ContextReq.integrity | spnego.ContextReq.sequence_detect
        if options["protect"] == "seal":
            flags |= spnego.ContextReq.confidentiality
        bindings = options.get("bindings")
        service, _, host = options["target"].partition("/")
        common = {
            "protocol": "ntlm",
            "options": spnego.NegotiateOptions.use_ntlm,
            "context_req": flags,
            "hostname": host,
            "service": service,
            "channel_bindings": GssChannelBindings(application_data=bytes.fromhex(bindings))
            if bindings
            else None,
        }
        if role == "initiate":
            self.context = spnego.client(options["user"], options["password"], **common)
        else:
            self.context = spnego.server(**common)

    def step(self, token):
        answer = self.context.step(token or None)
        return ("done" if self.context.complete else "token"), answer

    def wrap(self, message):
        return self.context.wrap(message).data

    def unwrap(self, token):
        return self.context.unwrap(token).data

    def mic(self, message):
        return self.context.sign(message)

    def verify(self, message, mic):
        self.context.verify(message, mic)

    def listmic(self, message):
        mic = self.context.sign(message)
        self.context._reset_ntlm_crypto_state(outgoing=True)
        return mic

    def listverify(self, message, mic):
        self.context.verify(message, mic)
        self.context._reset_ntlm_crypto_state(outgoing=False)

    def key(self):
        return self.context.session_key

    def name(self):
        return (self.context.client_principal or "").encode()


class Impacket:
    """A client only, and one without a MIC in AUTHENTICATE_MESSAGE."""

    def __init__(self, role, options):
        from impacket import ntlm

        self.ntlm = ntlm
        self.options = options
        self.type1 = None
        self.sequence = {"Client": 0, "Server": 0}

    def step(self, token):
        domain, _, user = self.options["user"].rpartition("\\")
        if not self.type1:
            self.type1 = self.ntlm.getNTLMSSPType1("PEER", domain, signingRequired=True)
            return "token", self.type1.getData()
        service, _, _ = self.options["target"].partition("/")
        type3, self.session_key = self.ntlm.getNTLMSSPType3(
            self.type1, token, user, self.options["password"], domain, service=service,
            channel_binding_value=self.bindings(),
        )
        self.flags = type3["flags"]
        self.handles = {}
        for side in ("Client", "Server"):
            from Cryptodome.Cipher import ARC4

            sealing = self.ntlm.SEALKEY(self.flags, self.session_key, side)
            self.handles[side] = ARC4.new(sealing).encrypt
        return "done", type3.getData()

    def bindings(self):
        import hashlib
        import struct

        data = bytes.fromhex(self.options.get("bindings", ""))
        if not data:
            return b""
        return hashlib.md5(bytes(16) + struct.pack("<I", len(data)) + data).digest()

    def signature(self, side, message):
        key = self.ntlm.SIGNKEY(self.flags, self.session_key, side)
        signature = self.ntlm.SIGN(
            self.flags, key, message, self.sequence[side], self.handles[side]
        )
        self.sequence[side] += 1
        return signature.getData()

    def wrap(self, message):
        sealed = self.handles["Client"](message)
        return self.signature("Client", message) + sealed

    def unwrap(self, token):
        message = self.handles["Server"](token[16:])
        self.verify(message, token[:16])
        return message

    def mic(self, message):
        return self.signature("Client", message)

    def verify(self, message, mic):
        if self.signature("Server", message) != mic:
            raise ValueError("wrong signature")

    def key(self):
        return self.session_key


class Samba:
    """gensec, as a client."""

    def __init__(self, role, options):
        from samba import credentials, gensec, param

        settings = {"lp_ctx": param.LoadParm(), "target_hostname": options["target"]}
        settings["lp_ctx"].set("client ntlmv2 auth", "yes")
        domain, _, user = options["user"].rpartition("\\")
        creds = credentials.Credentials()
        creds.set_username(user)
        creds.set_domain(domain)
        creds.set_password(options["password"])
        creds.set_workstation("PEER")
        self.context = gensec.Security.start_client(settings)
        self.context.set_credentials(creds)
        service, _, host = options["target"].partition("/")
        self.context.set_target_service(service)
        self.context.set_target_hostname(host)
        self.context.want_feature(gensec.FEATURE_SIGN)
        if options["protect"] == "seal":
            self.context.want_feature(gensec.FEATURE_SEAL)
        # What gensec's SPNEGO says when it will exchange mechListMICs: a MIC in AUTHENTICATE.
        self.context.want_feature(gensec.FEATURE_NEW_SPNEGO)
        self.context.start_mech_by_name("ntlmssp")

    def step(self, token):
        finished, answer = self.context.update(token)
        return ("done" if finished else "token"), answer

    def wrap(self, message):
        return self.context.wrap(message)

    def unwrap(self, token):
        return self.context.unwrap(token)

    def mic(self, message):
        return self.context.sign_packet(message, message)

    def verify(self, message, mic):
        self.context.check_packet(message, message, mic)

    def key(self):
        return self.context.session_key()


class NtlmAuth:
    """gensec as a server, in Samba's helper for squid: contexts and keys, no messages."""

    def __init__(self, role, options):
        directory = os.path.dirname(os.environ["NTLM_USER_FILE"])
        config = os.path.join(directory, "smb.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[global]\nnetbios name = SERVER\nworkgroup = DOMAIN\n")
            file.write("server role = standalone server\n")
            for what in ("private dir", "state directory", "cache directory", "lock directory",
                         "pid directory"):
                file.write(f"{what} = {directory}\n")
        with open(os.environ["NTLM_USER_FILE"], encoding="utf-8") as file:
            domain, user, password = file.readline().rstrip("\n").split(":")
        self.helper = subprocess.Popen(
            [options["ntlm_auth"], f"--configfile={config}",
             "--helper-protocol=squid-2.5-ntlmssp", f"--username={user}",
             f"--domain={domain}", f"--password={password}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.ask("SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN NTLMSSP_FEATURE_SEAL")
        self.commands = iter(("YR", "KK"))

    def ask(self, command):
        self.helper.stdin.write(command + "\n")
        self.helper.stdin.flush()
        return self.helper.stdout.readline().rstrip("\n").partition(" ")

    def step(self, token):
        kind, _, rest = self.ask(f"{next(self.commands)} {base64.b64encode(token).decode()}")
        if kind == "TT":
            return "token", base64.b64decode(rest)
        if kind == "AF":
            self.user = rest
            return "done", b""
        raise PermissionError(f"{kind} {rest}")

    def key(self):
        kind, _, rest = self.ask("GK")
        if kind != "GK":
            raise ValueError(f"{kind} {rest}")
        return base64.b64decode(rest)

    def name(self):
        return self.user.encode()


main()
