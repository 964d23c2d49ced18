# SPDX-License-Identifier: Apache-2.0
"""Real corosync nodes on this machine, a second each: namespaces instead of machines.

A node has its own network, mount, UTS, IPC and pid namespace, its own /dev/shm, /run,
/etc/corosync, /var/lib/corosync and /var/log/corosync, and a link into a bridge. Corosync runs
there as on a real node; test clients are started inside with `nsenter`. Needs root.

All files are below one temporary directory, and all links in namespaces that end with the
processes of a node; those are killed at the end, or by the kernel when the tests are.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

PREFIX = "rgcs"
BRIDGE = f"{PREFIX}-br"
FAR_BRIDGE = f"{PREFIX}-far"  # the other side of a partition
DIE_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # also when the tests are killed
TOKEN_MS = 1000
READY_S_MAX = 15.0

_REPOSITORY = Path(__file__).resolve().parents[2]
_PROBE = Path(__file__).with_name("corosync_probe.py")

# The init of a node: sets up its mounts, says so, and reaps until it is killed.
_INIT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
for d in etc/corosync var/lib/corosync run var/log/corosync; do
  mkdir -p "$1/$d" "/$d"; mount --bind "$1/$d" "/$d"
done
hostname "$2"
ip link set lo up
echo ready
exec {python} -c 'import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGCHLD}})
while True:
    signal.sigwait({{signal.SIGCHLD}})
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass'
"""

Event = dict[str, Any]


def missing() -> str:
    """Return why nodes cannot be made here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root for namespaces"
    tools = [t for t in ("corosync", "ip", "unshare", "nsenter", "mount") if not shutil.which(t)]
    return (
        f"needs {', '.join(tools)} (apt-get install corosync iproute2 util-linux)" if tools else ""
    )


def run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Client:
    """A probe inside a node: commands on its standard input, one JSON line per event."""

    def __init__(self, node: "Node") -> None:
        self._process = subprocess.Popen(
            [*node.enter(), sys.executable, str(_PROBE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
        )
        self._unread: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.seen: list[Event] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.pid = self.wait_for(lambda e: e["event"] == "Started")["pid"]

    def wait_for(self, wanted: Callable[[Event], bool], timeout_s: float = READY_S_MAX) -> Event:
        """Return the next event that matches; those before it are taken as well."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                event = self._unread.get(timeout=left_s)
                self.seen.append(event)
                if wanted(event):
                    return event
        last = "\n".join(json.dumps(e)[:300] for e in self.seen[-12:])
        raise AssertionError(f"event not seen within {timeout_s} s; the last were\n{last}")

    def find(self, kind: str, timeout_s: float = READY_S_MAX, **fields: object) -> Event:
        """Return such an event, also one from before: other connections have their own order."""
        for event in reversed(self.seen):
            if event["event"] == kind and all(event[k] == v for k, v in fields.items()):
                return event
        return self.wait_for_kind(kind, timeout_s, **fields)

    def wait_for_kind(self, kind: str, timeout_s: float = READY_S_MAX, **fields: object) -> Event:
        """Return the next event of this kind whose fields have these values."""
        return self.wait_for(
            lambda e: e["event"] == kind and all(e[k] == v for k, v in fields.items()), timeout_s
        )

    def tell(self, command: str, **arguments: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        self._process.stdin.flush()

    def wait(self) -> int:
        """Return the probe's exit code once it has ended."""
        return self._process.wait(timeout=READY_S_MAX)

    def kill(self) -> None:
        """Kill the probe itself; nsenter, its parent, ends with it."""
        for pid in children_of(self._process.pid):
            os.kill(int(pid), signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """End the probe; its init has killed it or kills it soon."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=READY_S_MAX)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        """Empty the pipe at once: a probe that waits for its reader would stop the others."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._unread.put(json.loads(line))


class Switch:
    """A bridge in a network namespace of its own, so that nothing of ours is in the machine's."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen([*DIE_WITH_US, "unshare", "-n", "sleep", "infinity"])
        self._enter = ["nsenter", "-t", str(self._holder.pid), "-n", "--"]

    def power_on(self) -> None:
        own = Path("/proc/self/ns/net").readlink()
        theirs = Path(f"/proc/{self._holder.pid}/ns/net")
        deadline = time.monotonic() + READY_S_MAX
        while theirs.readlink() == own:  # unshare has not come to it yet
            if time.monotonic() > deadline:
                raise RuntimeError("unshare -n made no network namespace")
            os.sched_yield()
        for bridge in (BRIDGE, FAR_BRIDGE):
            self.ip("link", "add", bridge, "type", "bridge")
            self.ip("link", "set", bridge, "up")

    def ip(self, *command: str) -> None:
        run(*self._enter, "ip", *command)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Node:
    """One node: an init, perhaps a corosync, perhaps clients."""

    def __init__(
        self, number: int, base: Path, switch: Switch, config: str, *, links: int = 1
    ) -> None:
        self.number = number
        self._links = tuple(f"{PREFIX}{number}-{link}" for link in range(links))
        self._switch = switch
        self._directory = base / f"n{number}"
        (self._directory / "etc/corosync").mkdir(parents=True)
        (self._directory / "etc/corosync/corosync.conf").write_text(config)
        self.authkey = self._directory / "etc/corosync/authkey"
        self._corosync: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []
        self._commands: list[subprocess.Popen[bytes]] = []
        script = _INIT.format(python=sys.executable)
        arguments = ["sh", "-c", script, "init", str(self._directory), f"n{number}"]
        self._unshare = subprocess.Popen(
            [*DIE_WITH_US, "unshare", "-muinpf", "--kill-child", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def power_on(self) -> None:
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != b"ready\n":
            raise RuntimeError(f"node {self.number}: {self._unshare.communicate()[1]!r}")
        self._init = children_of(self._unshare.pid)[0]
        for link, port in enumerate(self._links):
            device = f"eth{link}"
            peer = ["peer", device, "netns", self._init]
            self._switch.ip("link", "add", port, "type", "veth", *peer)
            self._switch.ip("link", "set", port, "master", BRIDGE, "up")
            cidr = f"{address(self.number, link)}/24"
            run(*self.enter(), "ip", "addr", "add", cidr, "dev", device)
            run(*self.enter(), "ip", "link", "set", device, "up")

    def enter(self) -> list[str]:
        return ["nsenter", "-t", self._init, "-m", "-u", "-i", "-n", "-p", "--"]

    def start_corosync(self) -> None:
        self._corosync = self.start("corosync", "-f")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command inside; its output goes to the node's log."""
        with (self._directory / "corosync.out").open("ab") as out:
            started = subprocess.Popen([*self.enter(), *command], stdout=out, stderr=out)
        self._commands.append(started)
        return started

    def output(self, *command: str) -> str:
        """Run a command inside and return what it prints."""
        return run(*self.enter(), *command)

    def signal_corosync(self, number: signal.Signals) -> None:
        os.kill(self._corosync_pid(), number)

    def kill_corosync(self) -> None:
        assert self._corosync is not None
        self.signal_corosync(signal.SIGKILL)
        self._corosync.wait()

    def resume_corosync(self) -> None:
        """Continue corosync, and nsenter, which stops itself together with its child."""
        assert self._corosync is not None
        self.signal_corosync(signal.SIGCONT)
        self._corosync.send_signal(signal.SIGCONT)

    def client(self) -> Client:
        client = Client(self)
        self._clients.append(client)
        return client

    def cut(self, link: int = 0) -> None:
        self._switch.ip("link", "set", self._links[link], "down")

    def heal(self, link: int = 0) -> None:
        self._switch.ip("link", "set", self._links[link], "up")

    def part(self) -> None:
        """Move to the other side of a partition, where those are that moved before."""
        self._switch.ip("link", "set", self._links[0], "master", FAR_BRIDGE)

    def merge(self) -> None:
        self._switch.ip("link", "set", self._links[0], "master", BRIDGE)

    def configure(self, config: str) -> None:
        """Write another corosync.conf; a reload reads it."""
        (self._directory / "etc/corosync/corosync.conf").write_text(config)

    def power_off(self) -> None:
        """Kill the node's init, and with it all of its processes."""
        self._unshare.kill()

    def power_cut(self) -> None:
        """Be silent on all links at once, then dead: a killed kernel sends nothing any more."""
        for link in range(len(self._links)):
            self.cut(link)
        self.power_off()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for command in self._commands:
            command.send_signal(signal.SIGCONT)  # nsenter stops itself together with its child
            command.wait()
        self._unshare.wait()
        for pipe in (self._unshare.stdout, self._unshare.stderr):
            assert pipe is not None
            pipe.close()

    def _corosync_pid(self) -> int:
        assert self._corosync is not None
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            if children := children_of(self._corosync.pid):
                return int(children[0])
        raise AssertionError(f"corosync of node {self.number} has not started")


def address(number: int, link: int) -> str:
    """Return the address of a node on a link; each link is a network of its own."""
    return f"10.231.{77 + link}.{number}"


def corosync_conf(count: int) -> str:
    """Return the configuration of a cluster of this many nodes."""
    nodes = "".join(
        f"  node {{\n    nodeid: {n}\n    name: n{n}\n    ring0_addr: {address(n, 0)}\n  }}\n"
        for n in range(1, count + 1)
    )
    return f"""totem {{
  version: 2
  cluster_name: probe
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: {TOKEN_MS}
  token_coefficient: 0
  interface {{
    linknumber: 0
    knet_ping_interval: 200
    knet_ping_timeout: 2000
    knet_pong_count: 1
  }}
}}
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
}}
logging {{
  to_stderr: yes
  to_syslog: no
}}
"""


@contextlib.contextmanager
def cluster(
    count: int,
    base: Path,
    *,
    config: str | None = None,
    links: int = 1,
    keys: Sequence[bytes] = (),
) -> Iterator[list[Node]]:
    """Make nodes 1 to count with corosync running; remove everything at the end.

    `keys` are the nodes' authkeys, for a config with encryption.
    """
    switch = Switch()
    nodes: list[Node] = []
    text = config or corosync_conf(count)
    try:
        switch.power_on()
        for number in range(1, count + 1):
            nodes.append(Node(number, base, switch, text, links=links))  # noqa: PERF401 - closed below
        for node, key in zip_longest(nodes, keys):
            if key is not None:
                node.authkey.write_bytes(key)
            node.power_on()
            node.start_corosync()
        yield nodes
    finally:
        for node in nodes:
            node.power_off()
        for node in nodes:
            node.close()
        switch.close()
