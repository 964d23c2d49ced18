# SPDX-License-Identifier: Apache-2.0
"""The options of an agent: from standard input or the command line, with defaults, checked."""

from collections.abc import Callable
from typing import NamedTuple

from fencelib.errors import FenceError

SECONDS_MAX = 86400.0
NUMBER_DIGITS_MAX = 5
PORT_MAX = 65535
TRUE_WORDS = ("1", "yes", "on", "true")
FALSE_WORDS = ("0", "no", "off", "false")
Options = dict[str, str]


class Parameter(NamedTuple):
    """One option; `short` is its letter on the command line, `old` its old name."""

    name: str
    short: str
    kind: str  # boolean, string, second, integer or select
    default: str
    text: str
    old: str = ""
    required: str = "0"
    choices: tuple[str, ...] = ()


# fmt: off
ACTION = Parameter("action", "o", "string", "reboot", "Fencing action", required="1")
PASSWORD_SCRIPT = Parameter("password_script", "S", "string", "", "Command that prints it",
                            "passwd_script")
FAMILIES = (
    Parameter("inet4_only", "4", "boolean", "", "Use IPv4 only"),
    Parameter("inet6_only", "6", "boolean", "", "Use IPv6 only"),
)
TIMES = (
    Parameter("power_wait", "", "second", "2", "Wait between verified off and on, for reboot"),
    Parameter("power_timeout", "", "second", "20", "Time for the power to change"),
    Parameter("login_timeout", "", "second", "5", "Time for the first answer of the device"),
    Parameter("shell_timeout", "", "second", "3", "Time for one question to the device"),
    Parameter("delay", "", "second", "0", "Wait before off or reboot"),
    Parameter("retry_on", "", "integer", "1", "Further attempts to power on"),
)
SPEECH = (
    Parameter("verbose", "v", "boolean", "", "Show what is done on standard error"),
    Parameter("debug_file", "D", "string", "", "Append what is done to this file", "debug"),
    Parameter("quiet", "q", "boolean", "", "Nothing on standard error"),
    Parameter("version", "V", "boolean", "", "Show the version and exit"),
    Parameter("help", "h", "boolean", "", "Show the manual text and exit"),
)
# fmt: on


def by_name(parameters: tuple[Parameter, ...]) -> dict[str, Parameter]:
    """Return all parameters by their names, old and new."""
    return {p.name: p for p in parameters} | {p.old: p for p in parameters if p.old}


def parse_lines(parameters: tuple[Parameter, ...], text: str) -> tuple[Options, list[str]]:
    """Read the options of standard input; the second list holds the names nobody knows."""
    options: Options = {}
    unknown = []
    known_names = by_name(parameters)
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        known = known_names.get(name.replace("-", "_").lower())
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if name == "nodename":  # every caller sends it; who has no use for it does not mind
            options[name] = value
        elif known is None or not equals:
            # Without "=" it may be a part of a secret.
            unknown.append(repr(name) if equals else "a line without '='")
        else:
            options[known.name] = value
    return options, unknown


def parse_arguments(parameters: tuple[Parameter, ...], arguments: list[str]) -> Options:
    """Read the command line."""
    import getopt  # noqa: PLC0415 -- daemons use standard input, and should not wait for it

    letters, words, known_names = "", [], by_name(parameters)
    for name, parameter in known_names.items():
        takes = parameter.kind != "boolean"
        words.append(name.replace("_", "-") + ("=" if takes else ""))
        if name == parameter.name and parameter.short:
            letters += parameter.short + (":" if takes else "")
    try:
        found, rest = getopt.gnu_getopt(arguments, letters, words)
    except getopt.GetoptError as error:
        raise FenceError(f"command line: {error.msg}; see --help") from error
    if rest:
        raise FenceError(f"command line: {len(rest)} words are not options; see --help")
    by_letter = {p.short: p for p in parameters if p.short}
    options = {}
    for option, value in found:
        name = option.lstrip("-")
        known = known_names[name.replace("-", "_")] if option.startswith("--") else by_letter[name]
        options[known.name] = "1" if known.kind == "boolean" else value
    return options


def with_defaults(
    parameters: tuple[Parameter, ...], given: Options, say: Callable[[str], None]
) -> Options:
    """Normalise booleans and words, and fill in the defaults; a false boolean becomes empty."""
    options = {p.name: p.default for p in parameters} | given
    for parameter in parameters:
        value = options[parameter.name]
        if parameter.kind in ("second", "integer", "select"):
            # An empty value means "not set", as for all agents.
            found = value.strip()
            same = [choice for choice in parameter.choices if choice.lower() == found.lower()]
            options[parameter.name] = same[0] if same else found or parameter.default
        elif parameter.kind == "boolean" and value:
            if value.lower() not in TRUE_WORDS + FALSE_WORDS:
                say(f"warning: ignored {parameter.name}: {value!r} is neither 1 nor 0")
                value = parameter.default
            options[parameter.name] = "1" if value.lower() in TRUE_WORDS else ""
    return options


def is_number(value: str) -> bool:
    """Tell whether a text is a whole number of a usable size."""
    return value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS_MAX


def value_problem(parameter: Parameter, value: str) -> str:
    """Name what is wrong with one value, or return an empty string."""
    if parameter.kind == "select" and value not in parameter.choices:
        return f"{parameter.name} {value!r} is not supported; use {' or '.join(parameter.choices)}"
    if parameter.kind == "integer" and not is_number(value):
        return f"{parameter.name} {value!r} is not a usable number"
    if parameter.name == "ipport" and not 0 < int(value) <= PORT_MAX:
        return f"ipport {value!r} is not a port; use 1 to {PORT_MAX}"
    if parameter.kind == "second":
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= SECONDS_MAX or (seconds == 0 and "timeout" in parameter.name):
            return f"{parameter.name} {value!r} is not a usable number of seconds"
    return ""


def address_problems(options: Options) -> list[str]:
    """Name what is wrong with the address of a device in the network."""
    found = []
    ip = options["ip"]
    if not ip:
        found.append("ip is not set; give the address of the device")
    elif not ip.isprintable() or " " in ip or ip.startswith("-"):
        found.append(f"ip {ip!r} contains blanks or begins with '-'; give one address")
    if options["inet4_only"] and options["inet6_only"]:
        found.append("inet4_only and inet6_only exclude each other; remove one")
    return found
