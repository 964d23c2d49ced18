# SPDX-License-Identifier: Apache-2.0
"""The systemd adapter inside a real node; RGMGR_TEST_NODE is the command that runs one there.

Such as `rgmgr lab run node1`. The node sees this source tree at the same path.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE = shlex.split(os.environ.get("RGMGR_TEST_NODE", ""))

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not NODE, reason="RGMGR_TEST_NODE names no command to run inside a node"),
]


def test_the_adapter_keeps_its_promises_on_a_real_systemd() -> None:
    packages = [path for path in sys.path if path.endswith("-packages")]
    environment = f"PYTHONPATH={':'.join([str(ROOT), *packages])}"
    script = str(ROOT / "tests/lab/systemd_inside.py")
    command = [*NODE, "env", environment, "PYTHONDONTWRITEBYTECODE=1", "python3", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
