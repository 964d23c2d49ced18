# SPDX-License-Identifier: Apache-2.0
"""Which services use a shared unit on this node, told to a daemon that comes back.

Owns the files `UNIT/SERVICE` below /run/rgmgr/uses, each with the name of the resource in it. They
are lost with a reboot, as is what they stand for.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from domains.model import ServiceName
from rgmgr.adapters.systemd.names import escape, unescape
from rgmgr.adapters.systemd.resources import Plan
from rgmgr.core.spec import ResourceName

FOLDER = Path("/run/rgmgr/uses")


class Uses:
    """The uses of shared units on this node; of other units it knows nothing."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def add(self, plan: Plan) -> None:
        """Note that a service uses its resource.

        Raises:
            OSError: the folder cannot be written to.
        """
        if not plan.spec.is_shared:
            return
        path = self._path(plan)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plan.key.resource, encoding="utf-8")

    def drop(self, plan: Plan) -> None:
        """Note that a service uses its resource no more; one that did not is fine."""
        if not plan.spec.is_shared:
            return
        path = self._path(plan)
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):  # others may use it
            path.parent.rmdir()

    def are_by_others(self, plan: Plan) -> bool:
        """Tell whether a unit is known to be used, and not by this service.

        One that nobody is known to use was started by hand: it counts for all that could use it.
        """
        users = self.of(plan.unit) if plan.spec.is_shared else {}
        return bool(users) and plan.key.service not in users

    def of(self, unit: str) -> dict[ServiceName, ResourceName]:
        """Return who uses a unit, and as which resource."""
        found = {}
        with contextlib.suppress(OSError):
            for path in sorted((self._folder / unit).iterdir()):
                name = path.read_text(encoding="utf-8")
                found[ServiceName(unescape(path.name))] = ResourceName(name)
        return found

    def units(self) -> list[str]:
        """Return the units that are used."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._folder.iterdir())
        return []

    def _path(self, plan: Plan) -> Path:
        return self._folder / plan.unit / escape(plan.key.service)
