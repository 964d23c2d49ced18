# SPDX-License-Identifier: Apache-2.0
"""The BMCs: one real ``ipmi_sim`` per node, whose chassis is ``data/chassis``."""

import enum
import shutil

from rgmgr.lab import cgroups, network
from rgmgr.lab.cgroups import Hierarchies
from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import BMC_USER, Layout, NodePlan
from rgmgr.lab.process import await_until
from rgmgr.lab.render import BMC_EMU, lan_conf

READY_TIMEOUT = 15.0


class BmcFault(enum.Enum):
    """What may be wrong with a BMC."""

    STUCK = "stuck"  # accepts "off", says it is well, and does nothing
    DEAD = "dead"  # answers nothing


def start(layout: Layout, hierarchies: Hierarchies, node: NodePlan, password: str) -> None:
    """Start the BMC of a node."""
    where = layout.bmc(node.name)
    state = where / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    (where / "lan.conf").write_text(lan_conf(node, password), encoding="utf-8")
    (where / "bmc.emu").write_text(BMC_EMU, encoding="utf-8")
    files = ["-c", str(where / "lan.conf"), "-f", str(where / "bmc.emu"), "-s", str(state), "-n"]
    argv = network.inside(["ipmi_sim", *files])
    cgroups.start(hierarchies, node.bmc_name, argv, log=where / "log", cwd=layout.run)


def await_answer(node: NodePlan, password: str) -> None:
    """Wait until the BMC answers a question for the power state.

    Raises:
        LabError: it does not.
    """
    await_until(
        lambda: ask(node, password, "status") is not None,
        timeout=READY_TIMEOUT,
        what=f"the BMC of {node.name} at {node.bmc_address} to answer",
    )


def ask(node: NodePlan, password: str, verb: str, timeout: float = 8.0) -> str | None:
    """Send ``chassis power VERB`` to the BMC; None if it did not answer well."""
    address = ["-H", node.bmc_address, "-U", BMC_USER, "-P", password]
    argv = ["ipmitool", "-I", "lanplus", *address, "-C", "3", "-N", "1", "-R", "1"]
    try:
        done = network.run([*argv, "chassis", "power", verb], timeout)
    except LabError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def set_fault(
    layout: Layout, hierarchies: Hierarchies, node: NodePlan, fault: BmcFault | None
) -> None:
    """Break a BMC in one way, or mend it in all."""
    stuck = layout.node(node.name) / "stuck"
    group = hierarchies.group(node.bmc_name)
    if fault is BmcFault.STUCK:
        stuck.touch()
    else:
        stuck.unlink(missing_ok=True)
    if fault is BmcFault.DEAD:
        cgroups.freeze(group)
    else:
        cgroups.thaw(group)


def fault_of(layout: Layout, hierarchies: Hierarchies, node: NodePlan) -> BmcFault | None:
    """Tell what is wrong with a BMC; one whose process is gone is dead as well."""
    group = hierarchies.group(node.bmc_name)
    if cgroups.is_frozen(group) or not cgroups.is_populated(group):
        return BmcFault.DEAD
    return BmcFault.STUCK if (layout.node(node.name) / "stuck").exists() else None
