# SPDX-License-Identifier: Apache-2.0
"""The growth plots: what is ten times as much is one step further, on both axes."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from benchmarks.plot import HEIGHT, WIDTH, Line, plot


def test_equal_factors_are_equal_steps() -> None:
    picture = plot("time <& all>", "services", [10, 100, 1000], [Line("ms", [1, 10, 100])])

    root = ET.fromstring(picture)  # noqa: S314 - our own
    points = [
        (float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter() if "cx" in c.attrib
    ]
    (x1, y1), (x2, y2), (x3, y3) = points
    assert abs((x2 - x1) - (x3 - x2)) < 0.2
    assert abs((y2 - y1) - (y3 - y2)) < 0.2
    assert x1 < x2 < x3
    assert y1 > y2 > y3
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_nothing_and_one_value_can_be_drawn() -> None:
    picture = plot("one", "nodes", [3], [Line("zero", [0])])

    assert re.search(r'<circle cx="[0-9.]+" cy="[0-9.]+"', picture)
