# SPDX-License-Identifier: Apache-2.0
"""The key `check` of a resource: one check, or a list of them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rgmgr.config.problems import Rejection, described, item, listed, shown
from rgmgr.config.resources import ResourceType, accept
from rgmgr.config.table import Table
from rgmgr.config.values import parse_command
from rgmgr.core.spec import CheckKind, CheckSpec

CHECK_KEYS = ("http", "tcp", "command", "monitor", "status", "interval", "timeout", "tolerance")
_PORT_MAX = 65_535
_ENDPOINT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_DEFAULTS = CheckSpec(kind=CheckKind.TCP, target="")


def read_checks(resource: Table, kind: ResourceType) -> tuple[CheckSpec, ...]:
    """Return the checks of a resource; whatever is wrong with them is noted.

    systemd sees nothing of what an agent has started, so one without a check gets its own; it is
    the same with what lives in the kernel or in another daemon.
    """
    if not resource.has("check"):
        return usual_checks(kind)
    raw = resource.raw["check"]
    path = resource.at("check")
    if isinstance(raw, dict):
        entries: list[tuple[str, object]] = [(path, raw)]
    elif isinstance(raw, list):
        entries = [(item(path, index), entry) for index, entry in enumerate(raw)]
    else:
        resource.wrong("check", 'a check such as { tcp = "127.0.0.1:80" }, or a list of them')
        return ()
    checks = []
    for place, entry in entries:
        if isinstance(entry, dict):
            table = Table(entry, place, resource.problems, known=CHECK_KEYS)
            checks.append(_read_check(table, kind))
        else:
            resource.problems.add(place, f"expected a check, got {described(entry)}")
    return tuple(check for check in checks if check is not None)


def usual_checks(kind: ResourceType) -> tuple[CheckSpec, ...]:
    """Return the checks of a resource that names none."""
    if not kind.usual_check_ms:
        return ()
    return (CheckSpec(kind=CheckKind.MONITOR, target="0", interval_ms=kind.usual_check_ms),)


def _read_check(table: Table, of: ResourceType) -> CheckSpec | None:
    kinds = [kind for kind in CheckKind if table.has(kind.value)]
    if len(kinds) != 1:
        known = listed(kind.value for kind in CheckKind)
        found = " and ".join(kind.value for kind in kinds) or "none"
        table.problems.add(table.path, f"a check needs exactly one of {known}; it has {found}")
        return None
    kind = kinds[0]
    if table.has("status") and kind is not CheckKind.HTTP:
        table.problems.add(table.at("status"), f"means nothing to a check by {kind.value}")
    target = _read_depth(table, of) if kind is CheckKind.MONITOR else _read_target(table, kind)
    if target is None:
        return None
    return CheckSpec(
        kind=kind,
        target=target,
        status=table.integer("status", minimum=100, default=_DEFAULTS.status),
        interval_ms=table.timeout("interval", _DEFAULTS.interval_ms),
        timeout_ms=table.timeout("timeout", _DEFAULTS.timeout_ms),
        tolerance=table.integer("tolerance", minimum=0, default=_DEFAULTS.tolerance),
    )


def _read_target(table: Table, kind: CheckKind) -> str | None:
    text = table.text(kind.value)
    return None if text is None else accept(_TARGETS[kind](text), table, kind.value)


def _read_depth(table: Table, of: ResourceType) -> str | None:
    if not of.has_monitor:
        text = f"a resource of type {of.name} has no action of its own that tells how it is"
        table.problems.add(table.at("monitor"), text, "use http, tcp or command")
        return None
    return str(table.integer("monitor", minimum=0, default=0))


def _parse_url(text: str) -> str | Rejection:
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not text.isascii() or not text.isprintable() or " " in text:
        return Rejection(f"expected a URL of http or https, got {shown(text)}")
    return text


def _parse_endpoint(text: str) -> str | Rejection:
    match = _ENDPOINT.fullmatch(text)
    if match and 0 < int(match[2]) <= _PORT_MAX:
        return text
    return Rejection(f"expected HOST:PORT, got {shown(text)}")


_TARGETS = {
    CheckKind.HTTP: _parse_url,
    CheckKind.TCP: _parse_endpoint,
    CheckKind.COMMAND: parse_command,
}
