# SPDX-License-Identifier: Apache-2.0
"""How soon a power cut is seen with the files of `rgmgr corosync-conf`: `make bench-detection`.

Real corosync processes in namespaces, one power cut for each row, from the cut to the view of the
slowest survivor. `promised` is token + consensus.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rgmgr.config.corosync_conf import Profile
from tests.adapters.corosync_nodes import missing
from tests.adapters.detection import detection_ms, expected_ms, formed


def main() -> int:
    """Measure and print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 3, 5, 8, 16])
    options = parser.parse_args()
    if reason := missing():
        print(f"cannot measure: {reason}", file=sys.stderr)
        return 1
    print("| nodes | profile | promised ms | measured ms | ratio |\n|---|---|---|---|---|")
    for count in options.nodes:
        for profile in Profile:
            with tempfile.TemporaryDirectory() as directory:
                base = Path(directory)
                with formed(count, base, profile) as talking:
                    taken = detection_ms(talking)
            promised = expected_ms(profile)
            row = f"| {count} | {profile.value} | {promised} | {taken} | {taken / promised:.2f} |"
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
