# SPDX-License-Identifier: Apache-2.0
"""The PDU: a real ``snmpd`` whose outlets are ``data/pdu``; outlet N feeds node N.

A node whose outlet is off can still be switched on by its BMC, as if it had a second supply there.
"""

from collections.abc import Sequence

from rgmgr.lab import cgroups, network
from rgmgr.lab.cgroups import Hierarchies
from rgmgr.lab.layout import PDU_ADDRESS, PDU_NAME, Layout, NodePlan
from rgmgr.lab.process import await_until
from rgmgr.lab.render import snmpd_conf

READY_TIMEOUT = 15.0
SYSTEM_OID = ".1.3.6.1.2.1.1.2.0"


def start(
    layout: Layout, hierarchies: Hierarchies, nodes: Sequence[NodePlan], community: str
) -> None:
    """Start the PDU with all outlets on."""
    where = layout.run / PDU_NAME
    where.mkdir(parents=True, exist_ok=True)
    (where / "outlets").write_text("".join(f"{node.name}\n" for node in nodes), encoding="utf-8")
    (where / "state").write_text("on\n" * len(nodes), encoding="utf-8")
    program = f"{layout.power.with_name('pdu')} {where} {layout.power}"
    conf = where / "snmpd.conf"
    conf.touch(mode=0o600)
    conf.write_text(snmpd_conf(community, program), encoding="utf-8")
    # Without MIBs, of which it would miss hundreds, and with its memory in our directory.
    settings = ["env", "MIBS=", f"SNMP_PERSISTENT_DIR={where / 'kept'}"]
    files = ["-c", str(conf), "-Lf", str(where / "log")]
    argv = [*settings, "snmpd", "-f", "-C", *files, "-I", "-smux"]
    log = where / "output"
    cgroups.start(hierarchies, PDU_NAME, network.inside(argv), log=log, cwd=layout.run)


def await_answer(community: str) -> None:
    """Wait until the PDU answers a question.

    Raises:
        LabError: it does not.
    """
    argv = ["snmpget", "-v2c", "-t", "1", "-r", "0", "-c", community, PDU_ADDRESS, SYSTEM_OID]
    await_until(
        lambda: network.run(argv, timeout=5.0).returncode == 0,
        timeout=READY_TIMEOUT,
        what=f"the PDU at {PDU_ADDRESS} to answer",
    )
