# SPDX-License-Identifier: Apache-2.0
"""The one door to the compiled binding: loads it and checks return codes."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rgmgr.errors import CorosyncError

if TYPE_CHECKING:
    from rgmgr._corosync import Ffi, Lib

HINTS = {
    "CS_ERR_LIBRARY": "corosync does not run or ended; see 'systemctl status corosync'",
    "CS_ERR_TRY_AGAIN": "corosync is starting or forming a ring; this is tried again",
    "CS_ERR_ACCESS": (
        "corosync refuses this user; run as root, or allow the user with a file in "
        "/etc/corosync/uidgid.d and reload corosync"
    ),
    "CS_ERR_EXIST": "this process is in the group already, or its namesake in a container is",
}
NOT_BUILT = (
    "the extension is not built; install libcpg-dev, libquorum-dev, libvotequorum-dev, "
    "libcmap-dev, libcfg-dev and libcorosync-common-dev, then run 'pip install .' (in a working "
    "copy 'pip install -e .') anew"
)


@dataclass(frozen=True, slots=True)
class Binding:
    """The compiled module's two names."""

    ffi: "Ffi"
    lib: "Lib"


@functools.cache
def load() -> Binding:
    """Import the extension, once.

    Raises:
        CorosyncError: it was not built.
    """
    try:
        from rgmgr import _corosync  # noqa: PLC0415 - the core and the commands run without it
    except ImportError as error:
        raise CorosyncError(
            "import rgmgr._corosync", "NOT_BUILT", f"{NOT_BUILT} ({error})"
        ) from error
    return Binding(_corosync.ffi, _corosync.lib)


@functools.cache
def _code_names() -> dict[int, str]:
    lib = load().lib
    names = [name for name in dir(lib) if name == "CS_OK" or name.startswith("CS_ERR_")]
    return {getattr(lib, name): name for name in names}


def code_name(code: int) -> str:
    """Return the name of a cs_error_t."""
    return _code_names().get(code, f"cs_error_t {code}")


def check(code: int, call: str) -> None:
    """Raise unless the call succeeded.

    Raises:
        CorosyncError: it did not.
    """
    if code != load().lib.CS_OK:
        name = code_name(code)
        raise CorosyncError(call, name, HINTS.get(name, ""))
