# SPDX-License-Identifier: Apache-2.0
"""Directories of scenarios: NAME/README, NAME/script, NAME/trace, and a cluster.toml.

The only module that knows how scenarios lie on a disk; what they mean is `rgmgr.sim.scenario`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rgmgr.config.load import load
from rgmgr.config.write import written
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError, Problem
from rgmgr.sim.scenario import CLUSTER_FILE, Scenario, cluster_of, parse, write

README = "README"
SCRIPT = "script"
TRACE = "trace"


def load_scenario(directory: Path) -> Scenario:
    """Return the scenario in a directory.

    Raises:
        ConfigError: a file cannot be read, or says what it must not: all problems of that file.
    """
    path = directory / SCRIPT
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        hint = "name the directory of a scenario, which holds a file named script"
        raise ConfigError([Problem("file", f"cannot be read: {reason}", hint)], str(path)) from None
    spec = load(directory / cluster_of(text), node_ids=None)
    return parse(text, spec, str(path))


def save_scenario(scenario: Scenario, directory: Path, readme: str) -> Path:
    """Write a scenario into a directory, made if need be, with a cluster.toml of its own.

    Returns:
        The directory.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    own = replace(scenario, cluster=CLUSTER_FILE)
    (directory / README).write_text(readme, encoding="utf-8")
    (directory / SCRIPT).write_text(write(own), encoding="utf-8")
    (directory / CLUSTER_FILE).write_text(written(numbered(own.script.spec)), encoding="utf-8")
    return directory


def numbered(spec: ClusterSpec) -> ClusterSpec:
    """Return the configuration with its nodes in the order of their ids, as a file counts them."""
    return replace(spec, nodes=dict(sorted(spec.nodes.items())))
