# SPDX-License-Identifier: Apache-2.0
"""What an administrator reads when cluster.toml is wrong, as golden files.

Each tests/golden/config_errors/NAME.toml has its output in NAME.txt. A first line `# nodelist:`
names the nodes that corosync knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from domains.model import NodeId
from rgmgr.config.load import loads
from rgmgr.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "golden" / "config_errors"
CASES = sorted(path.stem for path in FOLDER.glob("*.toml"))
NODELIST = "# nodelist: "


class Golden(Protocol):
    def __call__(self, name: str, text: str) -> None: ...


def nodelist(text: str) -> dict[str, NodeId] | None:
    first = text.partition("\n")[0]
    if not first.startswith(NODELIST):
        return None
    names = first.removeprefix(NODELIST).split()
    return {name: NodeId(number) for number, name in enumerate(names, start=1)}


@pytest.mark.parametrize("case", CASES)
def test_the_problems_of_a_file_read_like_this(case: str, golden: Golden) -> None:
    text = (FOLDER / f"{case}.toml").read_text(encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        loads(text, source="/etc/rgmgr/cluster.toml", node_ids=nodelist(text))

    golden(f"config_errors/{case}.txt", f"{caught.value}\n")
