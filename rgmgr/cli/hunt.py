# SPDX-License-Identifier: Apache-2.0
"""Many simulated clusters on all processors; results come in the order of their seeds.

Each worker is a process of its own behind a pipe and is given one seed at a time, so one that dies
names its seed and is replaced. What a seed does depends on nothing but the seed, so neither the
number of workers nor their speed changes any result.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.run import Stats, simulate

SEEDS_PER_WORKER_MIN = 8
"""Fewer are done before another process has started."""
GC_THRESHOLD = 100_000
"""A simulated cluster lives for a moment and is thrown away whole: collect seldom."""
NOTHING = Stats(simulated_ms=0, calls=0, unit_changes=0, fences=0, requests=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What each seed runs; None: drawn from the seed. `steps` is the number of faults."""

    nodes: int | None = None
    steps: int | None = None
    spec: ClusterSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one seed ended. `violations` has one sentence for each broken promise."""

    seed: int
    is_good: bool
    violations: tuple[str, ...]
    faults: int
    stats: Stats


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    seed: int | None = None  # what it works on


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def workers_for(seeds: int | None, jobs: int) -> int:
    """Return how many workers are worth starting for so many seeds; None: without end."""
    return jobs if seeds is None else max(1, min(jobs, seeds // SEEDS_PER_WORKER_MIN))


def run_seed(seed: int, task: Task) -> Result:
    """Run one seed here."""
    try:
        outcome = simulate(seed=seed, nodes=task.nodes, spec=task.spec, steps=task.steps)
    except Exception as error:  # noqa: BLE001 - a bug of the simulator is a finding with its seed
        return _lost(seed, f"the simulator failed: {type(error).__name__}: {error}")
    return Result(
        seed=seed,
        is_good=outcome.is_good,
        violations=outcome.violations or (() if outcome.settled else ("did not come to rest",)),
        faults=len(outcome.script.faults),
        stats=outcome.stats,
    )


def hunt(seeds: Iterable[int], task: Task, workers: int) -> Generator[Result]:
    """Run the seeds and yield their results in the order of the seeds.

    Seeds are taken one by one as workers become free. Closing the iterator ends the workers.
    """
    if workers == 1:
        for seed in seeds:
            yield run_seed(seed, task)
        return
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            crew.append(_hire(task))  # noqa: PERF401 - those that are there are ended in any case
        yield from _in_order(crew, iter(seeds), task)
    finally:
        for worker in crew:
            _dismiss(worker)


def _in_order(crew: list[_Worker], seeds: Iterator[int], task: Task) -> Iterator[Result]:
    order: list[int] = []  # given out and not yet told, oldest first
    done: dict[int, Result] = {}
    for worker in crew:
        _give(worker, seeds, order)
    while order:
        busy = {worker.pipe: worker for worker in crew if worker.seed is not None}
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]  # wait() returns what it was given
            result = _result_of(worker)
            done[result.seed] = result
            if not worker.process.is_alive():
                crew[crew.index(worker)] = worker = _replace(worker, task)
            _give(worker, seeds, order)
        while order and order[0] in done:
            yield done.pop(order.pop(0))


def _give(worker: _Worker, seeds: Iterator[int], order: list[int]) -> None:
    worker.seed = next(seeds, None)
    if worker.seed is not None:
        order.append(worker.seed)
        with contextlib.suppress(BrokenPipeError):  # it has just died: its end of file says so
            worker.pipe.send(worker.seed)


def _result_of(worker: _Worker) -> Result:
    """Take what a worker says; one that died says nothing, and that is a finding."""
    try:
        result = worker.pipe.recv()
        assert isinstance(result, Result)  # noqa: S101 - our own process sends nothing else
    except (EOFError, ConnectionResetError):
        worker.process.join()
        assert worker.seed is not None  # noqa: S101 - only a busy one is asked
        code = worker.process.exitcode or 0
        manner = f"signal {-code}" if code < 0 else f"exit code {code}"
        return _lost(worker.seed, f"the process that ran it died ({manner})")
    return result


def _lost(seed: int, words: str) -> Result:
    return Result(seed=seed, is_good=False, violations=(words,), faults=0, stats=NOTHING)


def _hire(task: Task) -> _Worker:
    # spawn: a fork would keep the other workers' pipes open, and its parent's end unnoticed
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, task), daemon=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it inherits that: Ctrl-C is ours
    process.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    theirs.close()
    return _Worker(process, ours)


def _replace(worker: _Worker, task: Task) -> _Worker:
    _dismiss(worker)
    return _hire(task)


def _dismiss(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()
    worker.process.close()


def collect_seldom() -> None:
    """Set this process up for one simulated cluster after another."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _work(pipe: Connection, task: Task) -> None:
    """Be a worker: run what comes until the pipe ends."""
    collect_seldom()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(run_seed(pipe.recv(), task))
