"""Scenarios, the worlds they play in, and the measurements of one side of one scenario."""

import glob
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from realm import SERVICE, Realm

SPNEGO = "1.3.6.1.5.5.2"
KRB5 = "1.2.840.113554.1.2.2"
NTLMSSP = "1.3.6.1.4.1.311.2.2.10"

SIDES = ("raw", "built-in", "plugin")

HEIMDAL_HEADERS = "/usr/include/heimdal"
HEIMDAL_LIBRARIES = "/usr/lib/x86_64-linux-gnu/heimdal"

# Flags of RFC 2744: mutual, replay, sequence, confidentiality, integrity.
MUTUAL, OTHERS = 2, 4 | 8 | 16 | 32

# The plugin's configuration where its own NTLM is preferred to gss-ntlmssp.
OWN_NTLM = 'ntlm = "own"\n'

# The mechanism that does nothing, once per number of tokens, and once more to be refused: N of its
# private identifier 2.25.N, and its tokens. All are configured where the credentials choose one.
NULLS = {"null-refused": (60, 2), "null1": (61, 1), "null2": (62, 2), "null3": (63, 3)}


@dataclass(frozen=True)
class World:
    """What is configured on the machine that a scenario plays on."""

    inner: str
    kerberos: bool = False
    ntlm: bool = False
    # The plugin's NTLM is its own, and raw and built-in are gss-ntlmssp.
    own_ntlm: bool = False
    ntlm_user: bool = False
    nulls: tuple[str, ...] = ()
    offer: tuple[str, ...] = ()
    token_size: int = 0
    heimdal: bool = False


def null_oid(name: str) -> str:
    return f"2.25.{NULLS[name][0]}"


def null_world(*offer: str, token_size: int = 0) -> World:
    """The last of `offer` is the one that the acceptor takes."""
    oids = tuple(map(null_oid, offer))
    return World(oids[-1], nulls=tuple(NULLS), offer=oids, token_size=token_size)


WORLDS = {
    "krb5": World(KRB5, kerberos=True),
    "krb5+ntlm": World(KRB5, kerberos=True, ntlm=True, ntlm_user=True),
    "krb5+ntlm-nouser": World(KRB5, kerberos=True, ntlm=True),
    "ntlm": World(NTLMSSP, ntlm=True, ntlm_user=True),
    "ntlm-own": World(NTLMSSP, ntlm=True, ntlm_user=True, own_ntlm=True),
    "heimdal-krb5": World(KRB5, kerberos=True, heimdal=True),
    "null1": null_world("null1"),
    "null2": null_world("null2"),
    "null3": null_world("null3"),
    "null-reselect": null_world("null-refused", "null2"),
    "null2-alone": World(null_oid("null2"), nulls=("null2",)),
    "null2-64k": null_world("null2", token_size=65536),
}


@dataclass(frozen=True)
class Scenario:
    """A world, the credentials of both ends, and what the initiator asks for."""

    world: str
    creds: str
    flags: int = MUTUAL | OTHERS

    @property
    def handshakes(self) -> int:
        """How many to count: NTLM's are long, and as like one another as the others'."""
        return 20 if self.world.startswith("ntlm") else 100


SCENARIOS = {
    f"{world}-{creds}": Scenario(world, creds)
    for world, creds in [
        ("krb5", "ee"),
        ("krb5", "ed"),
        ("krb5", "de"),
        ("krb5", "dd"),
        ("krb5", "pp"),
        ("krb5+ntlm", "ee"),
        ("krb5+ntlm", "dd"),
        ("krb5+ntlm-nouser", "ee"),
        ("krb5+ntlm-nouser", "dd"),
        ("ntlm", "ee"),
        ("ntlm", "dd"),
        ("ntlm-own", "ee"),
        ("heimdal-krb5", "ee"),
        ("heimdal-krb5", "dd"),
        ("null1", "ee"),
        ("null2", "ee"),
        ("null3", "ee"),
        ("null-reselect", "ee"),
        ("null2-64k", "ee"),
    ]
}
SCENARIOS["null2-dd"] = Scenario("null2-alone", "dd")
SCENARIOS["krb5-oneway-ee"] = Scenario("krb5", "ee", OTHERS)
SCENARIOS["krb5-oneway-dd"] = Scenario("krb5", "dd", OTHERS)


class Bench:
    """The programs, the realm and the configurations, in one temporary directory."""

    def __init__(self, home: Path, plugin: Path | None, keep: Path | None):
        self.home = home
        self.plugin = plugin
        self.keep = keep
        self.ntlmssp = ntlmssp_line()
        self.build()
        self.realm = Realm(home)
        (home / "ntlm-users").write_text("BENCH:user:secret\n")
        (home / "own-ntlm").write_text(OWN_NTLM)
        for world in WORLDS:
            for side in self.sides:
                file = self.configuration(world, side)
                file.parent.mkdir(exist_ok=True)
                file.write_text(self.mechanisms(world, side))
        if plugin:
            self.instructions(SCENARIOS["null2-ee"], "plugin")

    @property
    def sides(self) -> tuple[str, ...]:
        return SIDES if self.plugin else SIDES[:2]

    def possible(self, scenario: Scenario) -> bool:
        world = WORLDS[scenario.world]
        if world.heimdal:
            return (self.home / "handshake-heimdal").exists() and os.geteuid() == 0
        return not world.ntlm or self.ntlmssp is not None

    # What is measured -------------------------------------------------------------------------

    def instructions(self, scenario: Scenario, side: str, alone: bool = False) -> int:
        """Instructions of one handshake, deletion of both contexts included; `alone`: without
        SPNEGO on every side."""
        count = scenario.handshakes
        actions = "handshakes=10", "zero", f"handshakes={count}", "dump=handshakes"
        totals = self.callgrind(scenario, side, *actions, alone=alone)
        return round(totals["handshakes"] / count)

    def first(self, scenario: Scenario, side: str) -> int:
        """Instructions of a process, from exec to exit, that makes one handshake."""
        self.run(scenario, side, "handshakes=1")
        return self.callgrind(scenario, side, "handshakes=1", check=False)["exit"]

    def messages(self, scenario: Scenario, side: str, size: int) -> dict[str, int]:
        """Instructions of one call of each per-message function."""
        count = 100
        totals = self.callgrind(scenario, side, f"messages={size},{count}")
        return {call: round(total / count) for call, total in totals.items() if call != "exit"}

    def heap(self, scenario: Scenario, side: str) -> dict[str, int]:
        """Octets leaked and requests made by one handshake, octets held by a pair of contexts."""
        output = self.run(
            scenario, side, "handshakes=20", "heap=100", LD_PRELOAD=f"{self.home}/heap.so"
        )
        return {name: int(value) for name, value in map(str.split, output.splitlines())}

    def system_calls(self, scenario: Scenario, side: str) -> int:
        """System calls of one handshake: the difference of 120 and 20, divided.

        Rounded, because the allocator asks for memory once in many handshakes.
        """
        few, many = (self.strace(scenario, side, f"handshakes={count}") for count in (20, 120))
        return round((many - few) / 100)

    def wall(self, scenario: Scenario, rounds: int) -> dict[str, dict[str, float]]:
        """Microseconds of one handshake on every side, which take turns round by round."""
        runners = {side: Runner(self, scenario, side) for side in self.sides}
        count = max(1, round(30_000 / max(runner.turn(5) for runner in runners.values())))
        for runner in runners.values():
            runner.turn(count)
        times: dict[str, list[float]] = {side: [] for side in runners}
        for _ in range(rounds):
            for side, runner in runners.items():
                times[side].append(runner.turn(count))
        for runner in runners.values():
            runner.end()
        return {
            side: {"median": statistics.median(turns), "best": min(turns)}
            for side, turns in times.items()
        }

    # How ----------------------------------------------------------------------------------------

    def build(self):
        flags = ["-O2", "-g", "-Wall", "-Wextra", "-Werror", *pkg_config("--cflags")]
        libraries = pkg_config("--libs")
        shared = ["-fPIC", "-shared"]
        here = Path(__file__).parent
        compile_c(*flags, here / "handshake.c", "-o", self.home / "handshake", *libraries)
        if Path(HEIMDAL_HEADERS).is_dir():
            heimdal = ["-DHEIMDAL", f"-I{HEIMDAL_HEADERS}", f"-L{HEIMDAL_LIBRARIES}", "-lgssapi"]
            compile_c(*flags, here / "handshake.c", "-o", self.home / "handshake-heimdal", *heimdal)
        # Without -fno-builtin the compiler makes calloc of malloc and memset, in calloc itself.
        compile_c(*flags, *shared, "-fno-builtin", here / "heap.c", "-o", self.home / "heap.so")
        for name, (number, tokens) in NULLS.items():
            defines = f"-DMECH={{0x69,{number}}}", f"-DTOKENS={tokens}"
            library = self.home / f"{name}.so"
            compile_c(*flags, *shared, *defines, here / "null.c", "-o", library, *libraries)

    def command(
        self, scenario: Scenario, side: str, actions: tuple[str, ...], alone: bool = False
    ) -> list[str]:
        world = WORLDS[scenario.world]
        alone = alone or side == "raw"
        mech = world.inner if alone else SPNEGO
        offer = "-" if alone else ",".join(world.offer) or "-"
        flags = str(scenario.flags)
        # Our own NTLM answers a challenge of its own process only under a name of this machine.
        service = f"host@{socket.gethostname()}" if world.own_ntlm else SERVICE
        arguments = [mech, world.inner, offer, scenario.creds, flags, service, *actions]
        program = "handshake-heimdal" if world.heimdal else "handshake"
        return [f"{self.home}/{program}", *arguments]

    def within(self, scenario: Scenario, side: str, command: list[str]) -> list[str]:
        """The command, which for Heimdal sees an /etc/gss of its own: its library reads no other."""
        if not WORLDS[scenario.world].heimdal:
            return command
        place = str(self.configuration(scenario.world, side).parent)
        script = 'mount --bind "$0" /etc/gss && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, place, *command]

    def loaded(self, side: str) -> tuple[str, ...]:
        """MIT's glue passes over a plugin that it cannot load, without a word.

        A library that is not an interposer stays mapped all the same, which is why `callgrind`
        also looks for instructions of the plugin's own.
        """
        return (f"loaded={self.plugin}",) if side == "plugin" else ()

    def environment(self, scenario: Scenario, side: str) -> dict[str, str]:
        world = WORLDS[scenario.world]
        nowhere = {"KRB5CCNAME": f"FILE:{self.home}/none", "KRB5_KTNAME": f"FILE:{self.home}/none"}
        made = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C",
            "GSS_MECH_CONFIG": str(self.configuration(scenario.world, side)),
            "GSS_SPNEGO_CONFIG": f"{self.home}/own-ntlm" if world.own_ntlm else "",
            **self.realm.environment(),
            **({} if world.kerberos else nowhere),
        }
        if world.ntlm_user:
            made["NTLM_USER_FILE"] = f"{self.home}/ntlm-users"
        if world.token_size:
            made["NULL_TOKEN_SIZE"] = str(world.token_size)
        return made

    def configuration(self, world: str, side: str) -> Path:
        if WORLDS[world].heimdal:
            return self.home / f"etc-gss-{world}-{side}" / "mech"
        return self.home / f"mech-{world}-{side}"

    def mechanisms(self, name: str, side: str) -> str:
        world = WORLDS[name]
        lines = [f"{null} {null_oid(null)} {self.home}/{null}.so" for null in world.nulls]
        if side == "plugin":
            lines.insert(0, f"spnego 2.25.4014056348 {self.plugin} - <interposer>")
        if world.ntlm and self.ntlmssp:
            lines.append(self.ntlmssp)
        return "".join(line + "\n" for line in lines)

    def run(self, scenario: Scenario, side: str, *actions: str, **more: str) -> str:
        command = self.command(scenario, side, (*actions, *self.loaded(side)))
        command = self.within(scenario, side, command)
        return run(command, self.environment(scenario, side) | more)

    def callgrind(
        self, scenario: Scenario, side: str, *actions: str, check: bool = True, alone: bool = False
    ):
        """Instructions by the name of the dump they were written to; the last of each name."""
        if check:
            actions = (*actions, *self.loaded(side))
        made = Path(tempfile.mkdtemp(prefix="callgrind-", dir=self.home))
        command = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            f"--callgrind-out-file={made}/out",
            *self.command(scenario, side, actions, alone),
        ]
        run(self.within(scenario, side, command), self.environment(scenario, side))
        totals = {}
        dumps = sorted(made.iterdir(), key=lambda dump: int(dump.suffix[1:] or "1000000"))
        for dump in dumps:
            text = dump.read_text(errors="replace")
            if side == "plugin" and not self.ran(text):
                raise SystemExit(f"nothing in {self.plugin} ran; the built-in was measured")
            trigger = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            name = trigger.group(1) if trigger else "exit"
            totals[name] = int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))
            if self.keep:
                what = "first" if actions == ("handshakes=1",) else name
                flags = "" if scenario.flags & MUTUAL else "-oneway"
                label = f"{scenario.world}{flags}-{scenario.creds}.{side}.{what}"
                if what != "exit":
                    shutil.copy(dump, self.keep / f"callgrind.{label}")
        return totals

    def ran(self, dump: str) -> bool:
        return re.search(rf"^c?ob=.*{re.escape(str(self.plugin))}$", dump, re.M) is not None

    def strace(self, scenario: Scenario, side: str, *actions: str) -> int:
        made = Path(tempfile.mkdtemp(prefix="strace-", dir=self.home))
        command = self.command(scenario, side, (*actions, *self.loaded(side)))
        strace = ["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", f"{made}/out"]
        run(
            self.within(scenario, side, [*strace, *command]), self.environment(scenario, side)
        )
        return int(re.search(r"^\s*(\d+)\s+total$", (made / "out").read_text(), re.M).group(1))


class Runner:
    """One side of a scenario, waiting for its turn in a process of its own."""

    def __init__(self, bench: Bench, scenario: Scenario, side: str):
        self.process = subprocess.Popen(
            bench.within(
                scenario,
                side,
                bench.command(scenario, side, ("handshakes=20", *bench.loaded(side), "turns")),
            ),
            env=bench.environment(scenario, side),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, count: int) -> float:
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("a measured program ended before its turn")
        return float(answer) / count

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode != 0:
        words = " ".join(command)
        raise SystemExit(f"{words}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def compile_c(*arguments: object):
    subprocess.run([os.environ.get("CC", "cc"), *map(str, arguments)], check=True)


def pkg_config(what: str) -> list[str]:
    command = ["pkg-config", what, "mit-krb5-gssapi"]
    try:
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit("MIT's headers are needed: apt-get install libkrb5-dev") from None


def ntlmssp_line() -> str | None:
    """The line by which gss-ntlmssp is configured on this machine, if it is."""
    for file in ["/etc/gss/mech", *sorted(glob.glob("/etc/gss/mech.d/*.conf"))]:
        if not os.path.exists(file):
            continue
        for line in Path(file).read_text().splitlines():
            words = line.split()
            if len(words) >= 3 and words[1] == NTLMSSP and os.path.exists(words[2]):
                return line
    return None
