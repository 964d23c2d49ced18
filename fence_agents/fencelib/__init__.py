# SPDX-License-Identifier: Apache-2.0
"""What our fence agents share: the Fence Agent API, and how a power state is verified.

Speaks no device's protocol, and knows nothing of rgmgr. An agent is a subclass of `agent.Agent`,
what it switches one of `device.Device`; its file ends with
`sys.exit(run_agent(MyAgent(), sys.argv[1:]))`. Agents find this package beside themselves, or in
`../lib/rgmgr/python`.

Success means that the device itself said so: silence, "command accepted" and every word that is
not exactly the wanted state are failures. Only light modules are imported (named tuples, not
dataclasses): agents start while a service is down. Source: Fence Agent API.
"""
