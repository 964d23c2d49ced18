# SPDX-License-Identifier: Apache-2.0
"""The actions that need the device; success is what the device said, never what was sent."""

import time

from fencelib.device import Device, Outlet
from fencelib.errors import FenceError, NoAnswerError, StuckError
from fencelib.log import Log
from fencelib.options import Options

EXIT_DONE, EXIT_FAILED, EXIT_OFF = 0, 1, 2
LISTS = ("list", "list-status")


def act(action: str, device: Device, options: Options, log: Log, target: str) -> int:
    """Do one action that needs the device, and return the exit code."""
    login_s = float(options["login_timeout"])
    if action in LISTS or (action == "monitor" and options.get("plug", "-") == ""):
        return show(action, device.outlets(time.monotonic() + login_s))
    if action in ("off", "reboot"):
        time.sleep(float(options["delay"]))
    state = device.first_power(login_s)
    if action in ("status", "monitor") and state not in ("on", "off", "mixed"):
        raise FenceError(f"the power reads {state}, neither on nor off; check the options")
    if action == "status":
        print(f"Status: {'OFF' if state == 'off' else 'ON'}")
        return EXIT_OFF if state == "off" else EXIT_DONE
    if action == state:
        print(f"Success: Already {state.upper()}")
        return EXIT_DONE
    if action == "on":
        power_on(device, options, log, target)
        print("Success: Powered ON")
    elif action != "monitor":
        power_off(state, device, options)
        if action == "reboot":
            finish_reboot(device, options, log, target)
        else:
            print("Success: Powered OFF")
    return EXIT_DONE


def power_off(state: str, device: Device, options: Options) -> None:
    """Power off and verify; a part that is on still makes it not off."""
    if state != "off":
        device.switch("off", float(options["power_timeout"]))


def show(action: str, outlets: list[Outlet]) -> int:
    """Print what `list` and `list-status` promise; `monitor` only wants to know that it works."""
    for outlet in outlets:
        if action == "list":
            print(f"{outlet.plug},{outlet.alias}")
        elif action == "list-status":
            print(f"{outlet.plug},{outlet.alias},{outlet.state.upper()}")
    return EXIT_DONE


def finish_reboot(device: Device, options: Options, log: Log, target: str) -> None:
    """Power on a node that is proven off: it is fenced, whatever happens from here."""
    try:
        time.sleep(float(options["power_wait"]))
        power_on(device, options, log, target)
    except FenceError as error:
        print("Success: Powered OFF")
        log.say(f"reboot of {target}: off is verified, but it stays off: {error}")
    else:
        print("Success: Rebooted")


def power_on(device: Device, options: Options, log: Log, target: str) -> None:
    """Power on and verify, with the further attempts that were asked for."""
    for left in range(int(options["retry_on"]), -1, -1):
        try:
            device.switch("on", float(options["power_timeout"]))
        except (NoAnswerError, StuckError) as error:
            if not left:
                raise
            log.say(f"warning: on of {target}: {error}; {left} more attempts")
        else:
            return
