"""One end of a connection with Samba's SPNEGO (gensec), for tests/gensec.rs.

    gensec_peer.py initiator|acceptor NAME=VALUE...
      directory=PATH   where Samba may keep what it needs
      realm=REALM
      ccache=NAME      the initiator's tickets
      user=, password=, domain=    NTLM's in their place; an acceptor's password makes its keys
      smb_conf=PATH    an acceptor's of NTLM: the configuration of a domain (gensec_domain.py)
      size=OCTETS      maximum size of what is sent at once; larger tokens go in fragments

Run by the system's Python, which has Samba's modules.
"""

import os
import sys

from samba import NTSTATUSError, auth, credentials, gensec, param
from samba.auth import system_session
from samba.samdb import SamDB

from frames import MESSAGE, peer_is_done, receive, send, show

# Samba has no tickets for "localhost".
HOST = "peer.spnego.test"
KEPT = []


def configuration(options):
    """Samba's own configuration, all of it below one directory."""
    place = options["directory"]
    lines = ["[global]", "workgroup = TEST", "netbios name = PEER",
             "realm = " + options["realm"], "log level = 0"]
    for name in ("private dir", "lock directory", "state directory", "cache directory",
                 "pid directory", "ncalrpc dir"):
        lines.append(f"{name} = {place}")
    path = os.path.join(place, "smb.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    loadparm = param.LoadParm()
    loadparm.load(path)
    return loadparm


def initiator(options, loadparm):
    creds = credentials.Credentials()
    creds.guess(loadparm)
    if "ccache" in options:
        creds.set_named_ccache(options["ccache"], credentials.SPECIFIED, loadparm)
        creds.set_kerberos_state(credentials.MUST_USE_KERBEROS)
    else:
        creds.set_username(options["user"])
        creds.set_password(options["password"])
        creds.set_domain(options["domain"])
        creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    security = gensec.Security.start_client({"lp_ctx": loadparm, "target_hostname": HOST})
    security.set_credentials(creds)
    security.set_target_service("HTTP")
    security.set_target_hostname(HOST)
    return security


def acceptor_of_ntlm(path):
    loadparm = param.LoadParm()
    loadparm.load(path)
    users = SamDB(session_info=system_session(), lp=loadparm)
    creds = credentials.Credentials()
    creds.guess(loadparm)
    creds.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    context = auth.AuthContext(lp_ctx=loadparm, ldb=users, methods=["sam"])
    # Neither holds on to what it was made of.
    KEPT.extend([users, context])
    security = gensec.Security.start_server(
        settings={"lp_ctx": loadparm, "target_hostname": HOST}, auth_context=context)
    security.set_credentials(creds)
    return security


def acceptor(options, loadparm):
    if "smb_conf" in options:
        return acceptor_of_ntlm(options["smb_conf"])
    # Samba makes the keys of the password.
    creds = credentials.Credentials()
    creds.guess(loadparm)
    creds.set_username("user")
    creds.set_realm(options["realm"])
    creds.set_password(options["password"])
    creds.set_kerberos_state(credentials.MUST_USE_KERBEROS)
    security = gensec.Security.start_server(
        settings={"lp_ctx": loadparm, "target_hostname": HOST},
        auth_context=auth.AuthContext(lp_ctx=loadparm))
    security.set_credentials(creds)
    return security


def negotiate(security, speaks_first):
    """Exchange tokens until this end is done; whether it is."""
    token, sent, largest = b"", 0, 0
    if not speaks_first:
        kind, token = receive()
        if kind != b"T":
            return False
    while True:
        try:
            done, out = security.update(token)
        except NTSTATUSError as error:
            show(f"failed: {error}")
            send(b"E")
            return False
        if out or not done:
            sent += 1
            largest = max(largest, len(out))
            send(b"T", out)
        if done:
            show(f"sent: {sent} tokens, the largest of {largest} octets")
            send(b"D")
            return True
        kind, token = receive()
        if kind != b"T":
            show("the peer has failed" if kind == b"E" else "the peer is done; this end is not")
            return False


def speak(security):
    send(b"M", security.wrap(MESSAGE))
    send(b"M", security.sign_packet(MESSAGE, MESSAGE))


def listen(security):
    show("unwrap: " + ("as sent" if security.unwrap(receive()[1]) == MESSAGE else "another"))
    security.check_packet(MESSAGE, MESSAGE, receive()[1])
    show("check_packet: as sent")


def main():
    role = sys.argv[1]
    options = dict(argument.split("=", 1) for argument in sys.argv[2:])
    loadparm = configuration(options)
    initiates = role == "initiator"
    security = (initiator if initiates else acceptor)(options, loadparm)
    if "size" in options:
        security.set_max_update_size(int(options["size"]))
    security.want_feature(gensec.FEATURE_SIGN)
    security.want_feature(gensec.FEATURE_SEAL)
    security.start_mech_by_name("spnego")
    if not negotiate(security, initiates) or not peer_is_done():
        show("not established")
        sys.exit(1)
    show("established")
    if initiates:
        speak(security)
    listen(security)
    if not initiates:
        speak(security)


main()
