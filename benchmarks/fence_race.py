# SPDX-License-Identifier: Apache-2.0
"""Fifty fence races of two real nodes: `python benchmarks/fence_race.py --rounds 50` (root).

Each round cuts the cable between two nodes that both have quorum. Exactly one must survive, and the
service must never run on both. Ends with 1 when a round breaks that.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import DISK_DEVICE
from tests.lab.race import RaceConfig, blank_disk, run_race


def main() -> int:
    """Run the races and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--delay-by-weight", type=int, default=4, metavar="SECONDS")
    parser.add_argument("--lease", action="store_true", help="a disk decides, and no delay")
    options = parser.parse_args()
    lease = DISK_DEVICE if options.lease else ""
    lab = Lab(options.dir)
    survived: Counter[str] = Counter()
    broken = 0
    try:
        lab.up(2, RaceConfig(options.delay_by_weight, lease).text())
        if lease:
            blank_disk(lab)
        for number in range(1, options.rounds + 1):
            begun = time.monotonic()
            result = run_race(lab)
            is_good = len(result.survivors) == 1 and not result.overlaps
            broken += not is_good
            survived.update(result.survivors)
            names = ", ".join(result.survivors) or "nobody"
            verdict = "" if is_good else f"  BROKEN: {result.overlaps}"
            took_s = time.monotonic() - begun
            print(
                f"round {number:3}: {names} survives, owner {result.owner}, {took_s:.0f} s{verdict}"
            )
    finally:
        lab.down()
    print(f"{options.rounds} rounds, {broken} broken; survivors: {dict(survived)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
