# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for programs that need a kernel or a daemon that is not here: small, on PATH.

Their words and exit statuses are those of lvm 2.03, exportfs 2.6 and virsh 9.0 of Debian 12. All
share one file of facts, which a test reads and changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HELPER = Path(__file__).parents[2] / "systemd" / "rgmgr-resource"
PROGRAMS = ("lvm", "vgs", "vgchange", "lvchange", "dmsetup", "exportfs", "virsh")
TEXT = r"""#!{python} -IS
import json, sys, time
facts = json.load(open({facts!r}))
name, words = sys.argv[0].rpartition("/")[2], sys.argv[1:]
facts["calls"].append([name, *words])

def end(status=0, said="", complaint=""):
    json.dump(facts, open({facts!r}, "w"))
    if said: print(said)
    if complaint: print(complaint, file=sys.stderr)
    sys.exit(status)

def after(option):
    return words[words.index(option) + 1]

if name == "lvm":
    end(0, "  system ID: " + facts["system_id"])
group = facts["group"]
if name in ("vgs", "vgchange", "lvchange") and words[-1].split("/")[0] != group["name"]:
    end(5, "", f'  Volume group "{{words[-1]}}" not found')
if name == "vgs":
    field = after("--options")
    end(0, "    " + (group["owner"] if field == "vg_systemid" else ",".join(group["tags"])))
if name in ("vgchange", "lvchange"):
    allowed = (facts["system_id"], "") if "--config" not in words else None
    if allowed and group["owner"] not in allowed and "--deltag" not in words:
        mine = facts["system_id"]
        end(5, "", f"  Cannot access VG {{group['name']}} with local system ID {{mine}}.")
    if "--systemid" in words: group["owner"] = after("--systemid")
    if "--addtag" in words: group["tags"].append(after("--addtag"))
    if "--deltag" in words: group["tags"].remove(after("--deltag"))
    if "--activate" in words:
        if after("--activate") == "n" and group["is_busy"]:
            end(5, "", "  Logical volume in use.")
        one = words[-1].partition("/")[2]
        wanted = [one] if one else group["volumes"]
        if after("--activate") == "y":
            group["active"] = sorted({{*group["active"], *([] if group["is_silent"] else wanted)}})
        else:
            group["active"] = [v for v in group["active"] if v not in wanted]
    end()
if name == "dmsetup":
    if facts["has_no_mapper"]:
        end(1, "", "/dev/mapper/control: open failed: No such device\nCommand failed.")
    rows = [group["name"].replace("-", "--") + "-" + v.replace("-", "--") for v in group["active"]]
    end(0, "\n".join(f"{{row}}\t(253:{{n}})" for n, row in enumerate(rows + ["other-x"])))
if name == "exportfs":
    if words == ["-s"]:
        end(0, "\n".join(f"{{p}}  {{c}}(sync,wdelay)" for c, p in facts["exports"]))
    target, _, path = words[-1].rpartition(":")
    row = [target.strip("[]"), path.replace(" ", "\\040")]
    if "-u" in words:
        if row not in facts["exports"]:
            end(1, "", f"exportfs: Could not find '{{words[-1]}}' to unexport.")
        facts["exports"].remove(row)
        end()
    if row not in facts["exports"]:
        facts["exports"].append(row)
    if "bogus" in " ".join(words):
        end(1, "", 'exportfs: command line:0: unknown keyword "bogus"')
    end()
if name == "virsh":
    machine, verb = words[-1], words[3]
    if verb == "migrate":
        machine = words[-2]
    if verb == "domstate" and "--reason" in words:
        machine = words[-2]
    if facts["is_libvirt_dead"]:
        end(1, "", "error: failed to connect to the hypervisor")
    if verb == "create":
        facts["machines"]["web"] = "running"
        end()
    if machine not in facts["machines"]:
        end(1, "", f"error: failed to get domain '{{machine}}'")
    if verb == "domstate":
        known = facts["machines"][machine]
        if known == "paused" and facts["is_coming"]:
            facts["machines"][machine] = "running"
            end(0, "paused" + (" (migrating)" if "--reason" in words else "") + "\n")
        end(0, known + (" (booted)" if "--reason" in words else "") + "\n")
    if verb == "domjobinfo":
        is_busy, facts["looks"] = facts["looks"] > 0, facts["looks"] - 1
        end(0, "Operation:        Outgoing migration" if is_busy else "Job type:         None")
    if verb == "migrate":
        facts["looks"] = facts["looks_after"]
        json.dump(facts, open({facts!r}, "w"))
        time.sleep(facts["takes_s"])
        facts = json.load(open({facts!r}))
        facts["machines"][machine] = facts["after"]
        end(1 if facts["complaint"] else 0, "", facts["complaint"])
    if verb == "start":
        facts["machines"][machine] = "running"
    if verb == "shutdown" and not facts["is_deaf"]:
        facts["machines"][machine] = "shut off"
    if verb == "destroy":
        facts["machines"][machine] = "shut off"
    end()
"""


class StandIns:
    """A folder of programs, and what they know."""

    def __init__(self, folder: Path) -> None:
        self._facts = folder / "facts.json"
        self._folder = folder / "programs"
        self._folder.mkdir()
        for name in PROGRAMS:
            program = self._folder / name
            program.write_text(TEXT.format(python=sys.executable, facts=str(self._facts)))
            program.chmod(0o755)
        group = {
            "name": "vg-0", "owner": "node2", "tags": [], "volumes": ["web", "log-a"],
            "active": [], "is_busy": False, "is_silent": False,
        }  # fmt: skip
        self.write(
            calls=[], system_id="node1", group=group, has_no_mapper=False, exports=[],
            machines={"web": "shut off"}, is_libvirt_dead=False, is_deaf=False, is_coming=False,
            after="shut off", complaint="", looks=0, looks_after=0, takes_s=0,
        )  # fmt: skip

    def read(self) -> dict[str, object]:
        """Return what they know."""
        found: dict[str, object] = json.loads(self._facts.read_text(encoding="utf-8"))
        return found

    def write(self, **changes: object) -> None:
        """Change what they know."""
        known = self.read() if self._facts.exists() else {}
        self._facts.write_text(json.dumps({**known, **changes}), encoding="utf-8")

    def remove(self, name: str) -> None:
        """Let a program be one that is not installed."""
        (self._folder / name).unlink()

    def run(
        self, verb: str, kind: str, *rest: str, begin_by_ms: int | None = None, **parameters: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the helper as the unit of a resource does."""
        given = {f"RGMGR_PARAM_{name.upper()}": value for name, value in parameters.items()}
        environment = {"PATH": str(self._folder), "RGMGR_TYPE": kind, "RGMGR_STOP_TIMEOUT_S": "1"}
        if begin_by_ms is not None:
            environment["RGMGR_BEGIN_BY_MS"] = str(begin_by_ms)
        return subprocess.run(
            [sys.executable, str(HELPER), verb, *rest],
            env={**environment, **given},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


def own_name() -> str:
    """Return the tag of this node."""
    return os.uname().nodename.partition(".")[0]
