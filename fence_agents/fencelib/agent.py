# SPDX-License-Identifier: Apache-2.0
"""What one agent is, and a run of it from the options to the exit code."""

import os
import select
import signal
import sys
from typing import NoReturn

from fencelib.actions import EXIT_DONE, EXIT_FAILED, LISTS, act
from fencelib.device import Device
from fencelib.errors import EndedError, FenceError
from fencelib.log import Log
from fencelib.options import (
    Options,
    Parameter,
    parse_arguments,
    parse_lines,
    value_problem,
    with_defaults,
)
from fencelib.text import manual, metadata

INPUT_BYTES_MAX = 65536


class Agent:
    """What one agent is; subclasses fill it in."""

    name = ""
    version = "0.1.0"
    short = ""
    long = ""
    parameters: tuple[Parameter, ...] = ()
    actions: tuple[str, ...] = (
        "on", "off", "reboot", "status", "monitor", "validate-all", "metadata", "manpage",
    )  # fmt: skip

    def problems(self, action: str, options: Options, given: Options) -> list[str]:
        """Name what is wrong with parameters that are right one by one; no contact is made."""
        raise NotImplementedError

    def require(self, options: Options) -> None:
        """Raise `FenceError` if a program or library that the agent needs is missing."""

    def prepare(self) -> None:
        """Do what takes long and needs no option, while the caller has not spoken yet."""

    def open(self, options: Options, log: Log) -> Device:
        """Return the device."""
        raise NotImplementedError

    def target(self, options: Options) -> str:
        """Return what is switched, for messages."""
        return repr(options["ip"])

    def act(self, action: str, options: Options, log: Log) -> int:
        """Do one action that needs the device, and return the exit code."""
        return act(action, self.open(options, log), options, log, self.target(options))


def action_of(agent: Agent, options: Options, unknown: list[str]) -> str:
    """Return the action to do; raise rather than take the default for a misspelt one."""
    default = next(p.default for p in agent.parameters if p.name == "action")
    if "action" not in options and unknown:
        raise FenceError(
            f"no action was given, but unknown names were ({', '.join(unknown)}); nothing was "
            f"done, because the default is {default}: correct the names, or send action={default}"
        )
    action = options.get("action", default).lower()
    action = {"meta-data": "metadata"}.get(action, action)
    if action not in (*agent.actions, *LISTS):
        raise FenceError(f"action {action!r} is unknown; use {', '.join(agent.actions)}")
    return action


def without_device(agent: Agent, action: str, options: Options, log: Log) -> bool:
    """Answer what needs no parameters; False means that it was something else."""
    if options.get("version"):
        print(agent.version)
    elif options.get("help") or action == "manpage":
        print(manual(agent))
    elif action == "metadata":
        print(metadata(agent))
    elif action in LISTS and action not in agent.actions:
        log.say("NOTICE: this agent has one outlet only and no list; use status")
    else:
        return False
    return True


def run_action(agent: Agent, given: Options, unknown: list[str], log: Log) -> int:
    """Check what was given and do it."""
    for name in unknown:
        log.say(f"warning: ignored {name} on standard input: it is no known name")
    action = "" if given.keys() & {"version", "help"} else action_of(agent, given, unknown)
    if without_device(agent, action, given, log):
        return EXIT_DONE
    options = with_defaults(agent.parameters, given, log.say)
    values = ((p, options[p.name]) for p in agent.parameters)
    problems = [problem for p, value in values if (problem := value_problem(p, value))]
    problems += agent.problems(action, options, given)
    if problems:
        raise FenceError(f"{action} was not tried: {'; '.join(problems)}")
    if action == "validate-all":
        agent.require(options)
        return EXIT_DONE
    try:
        return agent.act(action, options, log)
    except FenceError as error:
        raise FenceError(f"{action} of {agent.target(options)} failed: {error}") from error


def on_signal(number: int, _frame: object) -> NoReturn:
    """Leave through the code that kills the child."""
    raise EndedError(f"ended by signal {number}; the power state is unknown, ask for status")


def run_agent(agent: Agent, arguments: list[str]) -> int:
    """Do what the command line, or without one standard input, asks for; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    log = Log(agent.name, {})
    try:
        unknown: list[str] = []
        if arguments:
            given = parse_arguments(agent.parameters, arguments)
        else:
            if not select.select([sys.stdin], [], [], 0)[0]:
                agent.prepare()
            text = sys.stdin.buffer.read(INPUT_BYTES_MAX)
            given, unknown = parse_lines(agent.parameters, os.fsdecode(text))
        log = Log(agent.name, given)
        return run_action(agent, given, unknown, log)
    except (FenceError, EndedError, OSError) as error:
        log.say(str(error))
    except Exception as error:  # noqa: BLE001 -- the words of a library could hold a secret
        log.say(f"{bug(error)}; the power state is unknown, ask for status, and report this")
    return EXIT_FAILED


def bug(error: Exception) -> str:
    """Return what nobody has foreseen and where, without the error's own words."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "no known place"
    return f"a bug: {type(error).__name__} at {where}"
