# SPDX-License-Identifier: Apache-2.0
"""What a fence agent is told on its standard input, and which of it must not be shown.

Pure but for reading secrets. Source: Fence Agent API.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from rgmgr.core.spec import FenceDevice, FenceStep
from rgmgr.errors import RgmgrError

SECRET_PREFIX: Final = "secret:"  # noqa: S105 - says where a secret is
SECRET_BYTES_MAX: Final = 4096

_OPTION_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OURS: Final = frozenset({"action", "option", "nodename"})
_LEAKING: Final = frozenset({"verbose", "verbose_level", "debug", "debug_file"})
_SENSITIVE: Final = re.compile(r"passw|community|secret|_key$|_script$")
_FALSE_WORDS: Final = frozenset({"no", "off", "false"})
_BOOLEANS: Final = frozenset(
    {
        "disable_timeout",
        "inet4_only",
        "inet6_only",
        "lanplus",
        "missing_as_off",
        "notls",
        "port_as_ip",
        "quiet",
        "secure",
        "ssh",
        "ssl",
        "ssl_insecure",
        "ssl_secure",
        "sudo",
        "use_sudo",
    }
)
_MODERN_BY_OLD_NAME: Final = {
    "ipaddr": "ip",
    "login": "username",
    "passwd": "password",
    "passwd_script": "password_script",
    "port": "plug",
}


class StepError(RgmgrError):
    """A fence step brings no confirmation, for this reason; never holds a secret."""


def options_of(device: FenceDevice, step: FenceStep, secrets_dir: Path) -> dict[str, str]:
    """Return what the agent is told, secrets resolved; the step overrides the device.

    Raises:
        StepError: a secret cannot be read, or an option would make the answer worthless.
    """
    given: dict[str, str] = {}
    for source in (device.options, step.options):
        for raw, value in sorted(source.items()):
            name = raw.replace("-", "_")
            for twin in _twins_of(name):
                given.pop(twin, None)
            given[name] = value
    options = {}
    for name, value in given.items():
        if name in _OURS or name in _LEAKING or _is_false(name, value):
            continue
        _refuse_dangerous(name, value)
        is_secret = value.startswith(SECRET_PREFIX)
        options[name] = _read_secret(secrets_dir, value) if is_secret else value
    return options


def _twins_of(name: str) -> tuple[str, ...]:
    """Return the old or new name of the same option, of which an agent sees the last."""
    return tuple(
        twin
        for pair in _MODERN_BY_OLD_NAME.items()
        if name in pair
        for twin in pair
        if twin != name
    )


def _is_false(name: str, value: str) -> bool:
    """Tell a false boolean. A bare 0 may be an outlet or a delay, so the name must be known."""
    return value.lower() in _FALSE_WORDS or (value == "0" and name in _BOOLEANS)


def _refuse_dangerous(name: str, value: str) -> None:
    if name in {"plug", "port"} and "," in value:
        raise StepError(f"{name} {value!r} names several outlets: give each its own step")
    if name == "method" and value.lower() == "cycle":
        raise StepError("method 'cycle' proves nothing: remove it, off and on are used instead")


def _read_secret(directory: Path, reference: str) -> str:
    """Return the secret that `secret:NAME` refers to; the text of a failure never holds it."""
    name = reference.removeprefix(SECRET_PREFIX)
    path = directory / name
    if not _FILE_NAME.fullmatch(name):
        raise StepError(f"{reference!r} is not the name of a file in {directory}")
    try:
        # a pipe must not hold us up
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse_readable_by_others(path, os.fstat(descriptor))
            value = os.read(descriptor, SECRET_BYTES_MAX + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StepError(f"cannot read the secret in {path}: {error.strerror}") from error
    text = value.decode("utf-8", "replace").removesuffix("\n")
    if not text or len(value) > SECRET_BYTES_MAX or re.search(r"[\n\0\ufffd]", text):
        raise StepError(f"the secret in {path} must be one line of UTF-8 text")
    return text


def _refuse_readable_by_others(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StepError(f"the secret in {path} is not a regular file")
    if found.st_uid not in (0, os.geteuid()):
        raise StepError(f"the secret in {path} belongs to uid {found.st_uid}: chown it to root")
    if found.st_mode & 0o177:
        mode = stat.S_IMODE(found.st_mode)
        raise StepError(f"the secret in {path} has mode {mode:04o}: chmod it to 0600")


def input_of(options: dict[str, str]) -> bytes:
    """Return the lines for an agent's standard input.

    Raises:
        StepError: a name or value has no form there.
    """
    for name, value in options.items():
        if not _OPTION_NAME.fullmatch(name):
            raise StepError(f"{name!r} is not the name of an option")
        if re.search(r"[\r\n\0]", value):
            raise StepError(f"the value of option {name!r} has more than one line")
    lines = (f"{name}={_quoted(value)}\n" for name, value in sorted(options.items()))
    return "".join(lines).encode("utf-8", "replace")


def _quoted(value: str) -> str:
    """Protect a value that an agent would strip: it removes blanks and one pair of quotes."""
    is_wrapped = len(value) > 1 and value[0] == value[-1] == '"'
    return f'"{value}"' if is_wrapped or value != value.strip() else value


def sensitive_values(
    device: FenceDevice, step: FenceStep, options: dict[str, str]
) -> frozenset[str]:
    """Return the values that may not be shown: resolved secrets, and passwords given in clear."""
    configured = {n.replace("-", "_"): v for n, v in (device.options | step.options).items()}
    return frozenset(
        value
        for name, value in options.items()
        if value and (configured.get(name) != value or _SENSITIVE.search(name))
    )
