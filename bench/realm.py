"""A throwaway Kerberos realm in one directory: its KDC runs only until the ticket is there."""

import os
import socket
import subprocess
import time
from pathlib import Path

REALM = "BENCH.TEST"
HOST = "server.bench.test"
SERVICE = f"host@{HOST}"

CONFIGURATION = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    permitted_enctypes = aes256-cts-hmac-sha1-96
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    .bench.test = {realm}
"""

KDC_CONFIGURATION = """\
[realms]
    {realm} = {{
        database_name = {home}/principal
        key_stash_file = {home}/stash
        kdc_listen = 127.0.0.1:{port}
        kdc_tcp_listen = 127.0.0.1:{port}
        master_key_type = aes256-cts-hmac-sha1-96
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
    }}
"""


class Realm:
    """A user's ticket cache with the service's ticket in it, and the service's keytab."""

    def __init__(self, home: Path):
        self.home = home
        port = free_port()
        filled = {"realm": REALM, "port": port, "home": home}
        (home / "krb5.conf").write_text(CONFIGURATION.format(**filled))
        (home / "kdc.conf").write_text(KDC_CONFIGURATION.format(**filled))
        self.run("kdb5_util", "create", "-s", "-W", "-P", "master")
        self.kadmin("addprinc -pw secret user")
        self.kadmin(f"addprinc -randkey host/{HOST}")
        self.kadmin(f"ktadd -k {home}/keytab host/{HOST}")
        self.take_tickets(port)

    def take_tickets(self, port: int):
        log = self.home / "kdc.log"
        with log.open("w") as output:
            kdc = subprocess.Popen(
                [find("krb5kdc"), "-n"],
                env=self.own_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            if not answers(port, kdc):
                raise SystemExit(f"the KDC ended while it was being waited for:\n{log.read_text()}")
            self.run("kinit", "user", given="secret\n")
            self.run("kvno", f"host/{HOST}")
        finally:
            kdc.terminate()
            kdc.wait()

    def environment(self) -> dict[str, str]:
        """What a program needs to be the user and the service."""
        return {
            "KRB5_CONFIG": f"{self.home}/krb5.conf",
            "KRB5CCNAME": f"FILE:{self.home}/ccache",
            "KRB5_KTNAME": f"FILE:{self.home}/keytab",
            "KRB5_CLIENT_KTNAME": f"FILE:{self.home}/no-client-keytab",
            "KRB5RCACHENAME": "none:",
        }

    def own_environment(self) -> dict[str, str]:
        return self.environment() | {
            "KRB5_KDC_PROFILE": f"{self.home}/kdc.conf",
            "LC_ALL": "C",
            "PATH": os.environ["PATH"],
        }

    def kadmin(self, query: str):
        self.run("kadmin.local", "-r", REALM, "-q", query)

    def run(self, program: str, *arguments: str, given: str = ""):
        done = subprocess.run(
            [find(program), *arguments],
            env=self.own_environment(),
            input=given,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            raise SystemExit(f"{program} failed while making the realm:\n{done.stdout}")


def find(program: str) -> str:
    """The path of MIT's `program`, also where the other Kerberos took the plain name."""
    for directory in [*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]:
        for name in (f"{program}.mit", program):
            path = Path(directory, name)
            if os.access(path, os.X_OK):
                return str(path)
    raise SystemExit(f"{program} is needed: apt-get install krb5-kdc krb5-admin-server krb5-user")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int, server: subprocess.Popen) -> bool:
    """Wait until `server` listens; false when it ends instead."""
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False
