# SPDX-License-Identifier: Apache-2.0
"""A corosync.conf that sees a dead node in a known time, and the node list of any corosync.conf.

Pure. `render` writes a file for a `Plan`; `read_plan` makes one from words such as
`node1=10.0.0.1,10.1.0.1` and refuses what corosync would take and an administrator would regret.

Why these values (measured, see docs/corosync-conf.md): a lost node costs token + consensus,
whatever else is set; `token_coefficient: 0` keeps that the same for any number of nodes. knet's
timers tick every 200 ms, so the ping times that corosync derives from a short token make links
flap: they are written out. Of two links `active` uses both, so that losing one costs nothing.
Source: corosync.conf(5), votequorum(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

from rgmgr.config.names import check_word
from rgmgr.config.problems import Problems, listed, shown
from rgmgr.errors import ConfigError

NODES_MAX = 16
LINKS_MAX = 2
NODE_ID_MAX = 2**31 - 1  # corosync itself is happier without the sign bit
PORT_DEFAULT = 5405
PORT_MAX = 65_535 - 2 * (LINKS_MAX - 1)
CLUSTER_DEFAULT = "rgmgr"

QDEVICE_TIMEOUT_MS = 5_000
QDEVICE_SYNC_MS = 10_000
"""Less than half of corosync's own, and enough for an arbiter that restarts."""
_TWO_NODES = 2
_SYNTAX = "write NAME=ADDRESS, with two links NAME=ADDRESS,ADDRESS"
_OPENING = re.compile(r"(\w+)\s*\{")

Address = IPv4Address | IPv6Address


class Profile(Enum):
    """How soon a silent node is given up."""

    FAST = "fast"
    SAFE = "safe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """What corosync is told about time."""

    token_ms: int
    consensus_ms: int
    ping_interval_ms: int
    ping_timeout_ms: int  # twice the token: a link must outlast what the ring outlasts

    @property
    def detection_ms(self) -> int:
        """How long after its power cut a node is out of the membership."""
        return self.token_ms + self.consensus_ms


TIMERS = {
    Profile.FAST: Timers(
        token_ms=1_000, consensus_ms=1_200, ping_interval_ms=200, ping_timeout_ms=2_000
    ),
    Profile.SAFE: Timers(
        token_ms=2_300, consensus_ms=2_760, ping_interval_ms=400, ping_timeout_ms=4_600
    ),
}


@dataclass(frozen=True, slots=True)
class ConfNode:
    """A node of the node list; an address for each link."""

    id: int
    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the file is to say; `read_plan` checks it."""

    nodes: tuple[ConfNode, ...]
    cluster: str = CLUSTER_DEFAULT
    profile: Profile = Profile.FAST
    port: int = PORT_DEFAULT  # of link 0, UDP; link 1 has the second after it
    qnetd: str = ""  # host of the arbiter; empty: none
    breaks_ties: bool = False  # of two halves the one with the lowest id goes on

    @property
    def links(self) -> int:
        """How many links there are."""
        return max((len(node.addresses) for node in self.nodes), default=0)


def read_plan(
    words: Sequence[str],
    *,
    cluster: str = CLUSTER_DEFAULT,
    profile: Profile = Profile.FAST,
    port: int = PORT_DEFAULT,
    qnetd: str = "",
    breaks_ties: bool = False,
) -> Plan:
    """Return the plan for nodes written `NAME[:ID]=ADDRESS[,ADDRESS]`.

    A node without an id gets its place in the list, from 1.

    Raises:
        ConfigError: all that is wrong with it, by node.
    """
    problems = Problems()
    nodes = tuple(_read_node(word, place, problems) for place, word in enumerate(words, start=1))
    plan = Plan(
        nodes=nodes,
        cluster=cluster,
        profile=profile,
        port=port,
        qnetd=qnetd,
        breaks_ties=breaks_ties,
    )
    check_word(cluster, "cluster", problems)
    if not cluster:
        problems.add("cluster", "the name is empty", f"the default is {CLUSTER_DEFAULT!r}")
    if not 1 <= port <= PORT_MAX:
        problems.add("port", f"expected 1 to {PORT_MAX}, got {port}", f"usual is {PORT_DEFAULT}")
    if not 1 <= len(nodes) <= NODES_MAX:
        text = f"a cluster has 1 to {NODES_MAX} nodes here, got {len(nodes)}"
        problems.add("nodes", text, "" if nodes else _SYNTAX)
    _check_list(nodes, problems)
    _check_qnetd(plan, problems)
    _check_tie_breaker(plan, problems)
    if problems.found:
        raise ConfigError(problems.found, "nodes of corosync.conf")
    return plan


def render(plan: Plan) -> str:
    """Return the file. The parser wants each opening brace at the end of its line."""
    timers = TIMERS[plan.profile]
    interfaces = "".join(_interface(link, plan.port, timers) for link in range(plan.links))
    return f"""\
# corosync.conf(5), the same file on every node; made by: rgmgr corosync-conf --{plan.profile.value}
# A dead node is out of the membership after token + consensus = {timers.detection_ms} ms.
totem {{
  version: 2
  cluster_name: {plan.cluster}
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  token: {timers.token_ms}
  token_coefficient: 0
  consensus: {timers.consensus_ms}
  link_mode: active
{interfaces}}}
nodelist {{
{"".join(map(_node, plan.nodes))}}}
quorum {{
  provider: corosync_votequorum
{_two_node_safety(plan)}{_tie_breaker(plan)}{_device(plan)}}}
logging {{
  to_stderr: no
  to_logfile: no
  to_syslog: yes
}}
"""


def read_nodes(text: str) -> tuple[ConfNode, ...]:
    """Return the nodes that a corosync.conf names, whatever else is in it.

    A node without a name is called by the address of its first link, as the daemon calls it.
    Never fails: what cannot be understood is not there. Source: corosync.conf(5).
    """
    return tuple(
        ConfNode(
            id=int(found["nodeid"]) if found.get("nodeid", "").isdecimal() else 0,
            name=found.get("name") or found.get("ring0_addr", ""),
            addresses=tuple(value for key, value in sorted(found.items()) if _is_address(key)),
        )
        for found in _sections(text, ("nodelist", "node"))
    )


def _is_address(key: str) -> bool:
    return re.fullmatch(r"ring\d_addr", key) is not None


def _sections(text: str, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the settings of each section at this path."""
    path: list[str] = []
    settings: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        key, colon, value = line.partition(":")
        if line.startswith("#"):
            continue
        if opening := _OPENING.match(line):
            path.append(opening[1])
            settings = {}
        elif "}" in line:
            if tuple(path) == wanted:
                yield settings
            del path[-1:]
        elif colon:
            settings[key.strip()] = value.strip()


def _interface(link: int, port: int, timers: Timers) -> str:
    mcastport = "" if port == PORT_DEFAULT else f"    mcastport: {port + 2 * link}\n"
    return f"""\
  interface {{
    linknumber: {link}
{mcastport}\
    knet_ping_interval: {timers.ping_interval_ms}
    knet_ping_timeout: {timers.ping_timeout_ms}
    knet_pong_count: 2
  }}
"""


def _node(node: ConfNode) -> str:
    addresses = "".join(
        f"    ring{link}_addr: {address}\n" for link, address in enumerate(node.addresses)
    )
    return f"  node {{\n    nodeid: {node.id}\n    name: {node.name}\n{addresses}  }}\n"


def _two_node_safety(plan: Plan) -> str:
    """Let one of two nodes go on alone, but not begin alone: it cannot know about the other."""
    is_alone = len(plan.nodes) == _TWO_NODES and not plan.qnetd
    return "  two_node: 1\n  wait_for_all: 1\n" if is_alone else ""


def _tie_breaker(plan: Plan) -> str:
    """Let one half go on, always the same: it implies `wait_for_all`. Source: votequorum(5)."""
    return "  auto_tie_breaker: 1\n  auto_tie_breaker_node: lowest\n" if plan.breaks_ties else ""


def _device(plan: Plan) -> str:
    """Let an arbiter give its vote to one of two halves; it decides ties, and nothing else.

    Its times are short, since nobody has quorum until it has spoken. Source: corosync-qdevice(8).
    """
    if not plan.qnetd:
        return ""
    return f"""\
  device {{
    model: net
    votes: 1
    timeout: {QDEVICE_TIMEOUT_MS}
    sync_timeout: {QDEVICE_SYNC_MS}
    net {{
      host: {plan.qnetd}
      algorithm: ffsplit
      tls: on
    }}
  }}
"""


def _check_qnetd(plan: Plan, problems: Problems) -> None:
    if not plan.qnetd:
        return
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", plan.qnetd):
        problems.add("qnetd", f"expected a host name or an address, got {shown(plan.qnetd)}")
    if plan.qnetd in (address for node in plan.nodes for address in node.addresses):
        hint = "it would be lost together with that node"
        problems.add("qnetd", f"{plan.qnetd} is one of the nodes", hint)
    if len(plan.nodes) % 2:
        text = f"with {len(plan.nodes)} nodes there is no tie to decide"
        problems.add("qnetd", text, "leave --qnetd out: an arbiter is for an even number of nodes")


def _check_tie_breaker(plan: Plan, problems: Problems) -> None:
    if not plan.breaks_ties:
        return
    if plan.qnetd:
        hint = "leave --tie-breaker out: an arbiter decides ties better"
        problems.add("tie-breaker", "corosync takes it or an arbiter, not both", hint)
    if len(plan.nodes) % 2 or len(plan.nodes) == _TWO_NODES:
        text = f"with {len(plan.nodes)} nodes there is no tie for it to decide"
        problems.add("tie-breaker", text, "it is for four nodes or more, an even number")


def _read_node(word: str, place: int, problems: Problems) -> ConfNode:
    name_and_id, equals, listed_addresses = word.partition("=")
    name, colon, number = name_and_id.partition(":")
    path = f"node {name or place}"
    if not equals or not name:
        problems.add(path, f"expected NAME=ADDRESS, got {shown(word)}", _SYNTAX)
        return ConfNode(place, name, ())
    check_word(name, path, problems)
    return ConfNode(
        id=_read_id(number, path, problems) if colon else place,
        name=name,
        addresses=_read_addresses(listed_addresses.split(","), path, problems),
    )


def _read_id(number: str, path: str, problems: Problems) -> int:
    if re.fullmatch(r"[0-9]{1,10}", number) and 1 <= int(number) <= NODE_ID_MAX:
        return int(number)
    problems.add(path, f"expected a node id from 1 to {NODE_ID_MAX}, got {shown(number)}")
    return 0


def _read_addresses(words: Sequence[str], path: str, problems: Problems) -> tuple[str, ...]:
    if len(words) > LINKS_MAX:
        problems.add(path, f"expected 1 to {LINKS_MAX} addresses, got {len(words)}")
    found = []
    for word in words:
        try:
            address = ip_address(word.replace("%", " "))  # a zone holds for one machine only
        except ValueError:
            hint = "no names: corosync must not wait for a name service"
            problems.add(path, f"expected an IP address, got {shown(word)}", hint)
            continue
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            problems.add(path, f"{word} is no address that other nodes can reach")
        elif address.is_link_local:
            problems.add(path, f"{word} is link-local", "give the node a routable address")
        found.append(str(address))
    return tuple(found)


def _check_list(nodes: Sequence[ConfNode], problems: Problems) -> None:
    """Note what is wrong between the nodes."""
    read = [node for node in nodes if node.addresses]
    _check_unique(((node.name, node.name) for node in nodes), "the name", problems)
    ids = ((node.name, str(node.id)) for node in nodes if node.id)
    _check_unique(ids, "the node id", problems)
    addresses = ((node.name, address) for node in read for address in node.addresses)
    _check_unique(addresses, "the address", problems)
    counts = {len(node.addresses) for node in read}
    if len(counts) > 1:
        single = listed(node.name for node in read if len(node.addresses) == 1)
        text = f"every node needs as many addresses as the others; with one: {single}"
        problems.add("nodes", text)
    for link in range(LINKS_MAX):
        on_link = [node.addresses[link] for node in read if link < len(node.addresses)]
        if len({ip_address(address).version for address in on_link}) > 1:
            text = f"link {link} mixes IPv4 and IPv6: {listed(on_link)}"
            problems.add("nodes", text, "one family for each link")


def _check_unique(owned: Iterable[tuple[str, str]], what: str, problems: Problems) -> None:
    owner_by_value: dict[str, str] = {}
    for name, value in owned:
        if value in owner_by_value:
            owner = owner_by_value[value]
            text = f"{what} {shown(value)} is already that of {owner}"
            problems.add(f"node {name}", text if owner != name else f"{what} {shown(value)} twice")
        owner_by_value.setdefault(value, name)
