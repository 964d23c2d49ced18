# SPDX-License-Identifier: Apache-2.0
"""What an agent says of itself: XML for programs, a manual for humans. Source: Fence Agent API."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fencelib.agent import Agent
    from fencelib.options import Parameter


def metadata(agent: "Agent") -> str:
    """Return the XML that tells a caller which options and actions there are."""
    lines = [
        '<?xml version="1.0" ?>',
        f'<resource-agent name="{agent.name}" shortdesc="{agent.short}">',
    ]
    lines += [f"<longdesc>{agent.long}</longdesc>", "<vendor-url></vendor-url>", "<parameters>"]
    for parameter in agent.parameters:
        if parameter.old:
            lines += parameter_xml(parameter, parameter.old, ' deprecated="1"')
        obsoletes = f' obsoletes="{parameter.old}"' if parameter.old else ""
        lines += parameter_xml(parameter, parameter.name, obsoletes)
    lines += ["</parameters>", "<actions>"]
    lines += [f'\t<action name="{action}" />' for action in agent.actions]
    return "\n".join([*lines, "</actions>", "</resource-agent>"])


def parameter_xml(parameter: "Parameter", name: str, mark: str) -> list[str]:
    """Describe one option under one of its names."""
    required = parameter.required if name == parameter.name else "0"
    default = f' default="{parameter.default}"' if parameter.default else ""
    choices = [f'\t\t\t<option value="{choice}" />' for choice in parameter.choices]
    content = [f'\t\t<content type="{parameter.kind}"{default} />']
    if choices:
        content = [f'\t\t<content type="select"{default}>', *choices, "\t\t</content>"]
    return [
        f'\t<parameter name="{name}" unique="0" required="{required}"{mark}>',
        f'\t\t<getopt mixed="{flags_of(parameter)}" />',
        *content,
        f'\t\t<shortdesc lang="en">{parameter.text}</shortdesc>',
        "\t</parameter>",
    ]


def flags_of(parameter: "Parameter") -> str:
    """Return the forms of an option on the command line."""
    value = "" if parameter.kind == "boolean" else f"=[{parameter.name}]"
    letter = f"-{parameter.short}, " if parameter.short else ""
    return f"{letter}--{parameter.name.replace('_', '-')}{value}"


def manual(agent: "Agent") -> str:
    """Return the text for humans."""
    lines = [
        f"{agent.name} - {agent.short}",
        "",
        agent.long,
        "",
        f"usage: {agent.name} [options], or name=value lines",
    ]
    lines += ["on standard input; names there are those of the long options", "", "options:"]
    for parameter in agent.parameters:
        default = f" [{parameter.default}]" if parameter.default else ""
        lines.append(f"  {flags_of(parameter):<44} {parameter.text}{default}")
    lines += ["", f"actions: {' '.join(agent.actions)}", ""]
    lines.append("exit: 0 done (status: on), 2 status: off, 1 anything else")
    return "\n".join(lines)
