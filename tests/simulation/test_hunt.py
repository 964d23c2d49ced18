# SPDX-License-Identifier: Apache-2.0
"""Many seeds at once: the same results in the same order, whoever did the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from rgmgr.cli import hunt as module
from rgmgr.cli.hunt import Result, Task, hunt, run_seed, workers_for

TASK = Task(nodes=3, steps=2)


def run(seeds: range, workers: int) -> list[Result]:
    with closing(hunt(seeds, TASK, workers)) as results:
        return list(results)


def test_the_number_of_workers_changes_nothing() -> None:
    assert run(range(12), 3) == run(range(12), 1)


def test_a_worker_that_dies_names_its_seed_and_is_replaced() -> None:
    """A crash of the interpreter must neither be lost nor end the rest."""

    def seeds() -> Iterator[int]:
        for seed in range(8):
            if seed == 1:  # the first worker has its seed, the second one is about to get this
                for worker in multiprocessing.active_children():
                    worker.kill()
            yield seed

    with closing(hunt(seeds(), TASK, 2)) as found:
        results = list(found)

    lost = [result for result in results if not result.is_good]
    assert [result.seed for result in results] == list(range(8))
    assert [result.seed for result in lost] == [0, 1]
    assert {result.violations for result in lost} == {("the process that ran it died (signal 9)",)}


def test_an_error_of_the_simulator_is_a_finding_with_its_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_given: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(module, "simulate", fail)

    result = run_seed(5, TASK)

    assert (result.seed, result.is_good) == (5, False)
    assert result.violations == ("the simulator failed: ZeroDivisionError: boom",)


def test_closing_ends_the_workers() -> None:
    results = hunt(range(1000), TASK, 2)
    next(results)

    results.close()

    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("seeds", "jobs", "workers"), [(1, 8, 1), (16, 8, 2), (1000, 8, 8), (None, 3, 3), (7, 1, 1)]
)
def test_a_worker_is_started_only_for_enough_work(
    seeds: int | None, jobs: int, workers: int
) -> None:
    assert workers_for(seeds, jobs) == workers


def test_ctrl_c_ends_at_once_with_a_summary_of_what_was_done() -> None:
    program = "from rgmgr.cli.main import main; main()"
    command = [sys.executable, "-c", program, "sim", "--minutes", "5", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        group = process.pid
        while len(_processes_of(group)) < 3:  # its workers, and what keeps track of them
            assert process.poll() is None, process.stderr and process.stderr.read()
        os.killpg(group, signal.SIGINT)  # as a terminal does it: to all of them
        out, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert out.startswith("interrupted: ")
    assert "Traceback" not in err
    deadline_s = time.monotonic() + 10
    while _processes_of(group):  # what keeps track of the workers goes last, by itself
        assert time.monotonic() < deadline_s


def _processes_of(group: int) -> list[str]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "-g", str(group)],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return listed.stdout.split()
