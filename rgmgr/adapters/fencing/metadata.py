# SPDX-License-Identifier: Apache-2.0
"""What a fence agent says of itself, and whether options fit that. Pure.

Agents ignore unknown options, and their default action is a reboot: so options are checked before
an agent ever gets them. Source: Fence Agent API.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rgmgr.adapters.fencing.options import SECRET_PREFIX
from rgmgr.config.problems import did_you_mean, listed, shown
from rgmgr.errors import RgmgrError

_BOOLEAN_WORDS: Final = frozenset({"0", "1", "yes", "no", "on", "off", "true", "false"})
_GIVEN_BY_RGMGR: Final = frozenset({"action", "nodename"})


class MetadataError(RgmgrError):
    """An agent's metadata cannot be had; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOption:
    """One option of an agent."""

    name: str
    kind: str  # boolean, string, second, integer or select; other agents may have other words
    default: str | None  # None: none is told
    choices: tuple[str, ...]
    is_required: bool
    is_deprecated: bool
    obsoletes: str  # the old name of the same option
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAction:
    """One action of an agent."""

    name: str
    is_automatic: bool  # `on` is to be done whenever the node joins (unfencing)
    is_on_target: bool  # it runs on the node itself


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetadata:
    """What one agent can do."""

    name: str
    summary: str
    text: str
    options: dict[str, AgentOption]
    actions: dict[str, AgentAction]


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """An option that the agent would not take; `name` is empty if one is missing."""

    name: str
    problem: str
    hint: str = ""


def parse_metadata(text: str) -> AgentMetadata:
    """Read the XML that an agent prints for the action `metadata`.

    Raises:
        MetadataError: it is not that.
    """
    start = max(text.find("<?xml"), 0)  # some agents print warnings before it
    try:
        root = ET.fromstring(text[start:])  # noqa: S314 - of an executable that we run as root
    except ET.ParseError as error:
        raise MetadataError(f"its metadata is no XML: {error}") from error
    if root.tag != "resource-agent":
        raise MetadataError(f"its metadata is <{root.tag}> and not <resource-agent>")
    options = [_option(found) for found in root.iterfind("parameters/parameter[@name]")]
    actions = [_action(found) for found in root.iterfind("actions/action[@name]")]
    return AgentMetadata(
        name=root.get("name", ""),
        summary=_line(root.get("shortdesc", "")),
        text=_line(root.findtext("longdesc", "")),
        options={option.name: option for option in options},
        actions={action.name: action for action in actions},
    )


def _option(found: ET.Element) -> AgentOption:
    content = found.find("content")
    kind = "string" if content is None else content.get("type", "string")
    choices = () if content is None else (each.get("value", "") for each in content.iter("option"))
    return AgentOption(
        name=found.get("name", ""),
        kind=kind,
        default=None if content is None else content.get("default"),
        choices=tuple(choices),
        is_required=found.get("required") == "1",
        is_deprecated=found.get("deprecated") == "1",
        obsoletes=found.get("obsoletes", ""),
        text=_line(found.findtext("shortdesc", "")),
    )


def _action(found: ET.Element) -> AgentAction:
    return AgentAction(
        name=found.get("name", ""),
        is_automatic=found.get("automatic") == "1",
        is_on_target=found.get("on_target") == "1",
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def option_problems(agent: AgentMetadata, given: Mapping[str, str]) -> list[OptionProblem]:
    """Return what is wrong with these options, each by itself."""
    known = {name: option for name, option in agent.options.items() if name != "action"}
    found = []
    for raw, value in given.items():
        option = known.get(raw.replace("-", "_")) or known.get(raw)
        if option is None:
            hint = did_you_mean(raw, known) or f"'rgmgr fence describe {agent.name}' lists them"
            text = f"{agent.name} has no option {shown(raw)}"
            found.append(OptionProblem(raw, text, hint))
        elif not value.startswith(SECRET_PREFIX) and (expected := _expected(option, value)):
            found.append(OptionProblem(raw, f"{agent.name} expects {expected}"))
    return found


def missing_options(agent: AgentMetadata, given: Mapping[str, str]) -> list[OptionProblem]:
    """Return which required options are not among all that an agent gets in one step."""
    names = {name.replace("-", "_") for name in given} | _GIVEN_BY_RGMGR
    missing = []
    for option in agent.options.values():
        twins = {option.name, option.obsoletes}
        twins |= {twin.name for twin in agent.options.values() if twin.obsoletes == option.name}
        if option.is_required and not option.is_deprecated and not names & twins:
            missing.append(OptionProblem("", f"{agent.name} needs the option {option.name!r}"))
    return missing


def _expected(option: AgentOption, value: str) -> str:
    """Say what kind of value is expected where this is none; never shows the value."""
    word = value.strip().lower()
    match option.kind:
        case "boolean" if word not in _BOOLEAN_WORDS:
            return "true or false"
        case "integer" if not word.removeprefix("-").isdigit():
            return "an integer"
        case "second" if not word.replace(".", "", 1).isdigit():
            return "a number of seconds"
        case "select" if word not in {choice.lower() for choice in option.choices}:
            return f"one of {listed(option.choices)}"
        case _:
            return ""
