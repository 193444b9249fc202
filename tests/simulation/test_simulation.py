"""Whatever happens to messages, nodes and answers, all comes right: for every seed, and in the same way each time.

``python -m tests.simulation SEED`` shows a run with its whole trace.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import Result, simulate

SEEDS = 1_000
CHUNK = 100
SOAK_SEEDS = 100_000
SOAK_CHUNK = 250
SOAK_TIMEOUT_SECONDS = 7_200
TAIL_LINES = 60
ROOT = Path(__file__).parents[2]


def report(result: Result) -> str:
    """What is needed to see what went wrong: the seed, the promise that was broken, and what came before."""
    tail = "\n".join(result.trace.lines()[-TAIL_LINES:])
    return f"seed {result.seed}: {result.violation}\n{tail}\nall of it: python -m tests.simulation {result.seed}"


def first_failure(seeds: range) -> str | None:
    for seed in seeds:
        result = simulate(seed)
        if result.violation is not None:
            return report(result)
    return None


def chunks(seeds: range, size: int) -> list[range]:
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


@pytest.mark.parametrize("seeds", chunks(range(SEEDS), CHUNK), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_all_comes_right_whatever_happened(seeds: range) -> None:
    failure = first_failure(seeds)
    assert failure is None, failure


@pytest.mark.soak
@pytest.mark.timeout(SOAK_TIMEOUT_SECONDS)
def test_all_comes_right_whatever_happened_in_a_hundred_thousand_runs() -> None:
    # New interpreters: a fork would share the database in memory, and whatever threads there are.
    with multiprocessing.get_context("spawn").Pool() as pool:
        for failure in pool.imap_unordered(first_failure, chunks(range(SOAK_SEEDS), SOAK_CHUNK)):
            assert failure is None, failure


def digest_in_another_process(seed: int, *, hash_seed: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.rstrip().rpartition(" ")[2]


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    for seed in (3, 14):
        traces = {digest_in_another_process(seed, hash_seed=hash_seed) for hash_seed in ("1", "2")}
        assert traces == {simulate(seed).trace.digest()}
        assert simulate(seed + 1).trace.digest() not in traces


def test_a_run_leaves_nothing_to_the_next_one() -> None:
    digests = [simulate(seed).trace.digest() for seed in (5, 6, 5)]
    assert digests[0] == digests[2] != digests[1]


def test_runs_are_rough_enough() -> None:
    """They see everything that is meant to go wrong, and much is done all the same."""
    results = [simulate(seed) for seed in range(50)]
    seen = set().union(*(result.trace.events() for result in results))
    trouble = {"hint lost", "hint poisoned", "node crashes", "store is down", "store answer lost", "no answer"}
    recovery = {
        "replayed",
        "resync",
        "starts over",
        "conflicted",
        "disconnected",
        "feed ended",
        "deleted",
        "bus comes back",
    }
    assert trouble | recovery <= seen
    assert sum(result.syncs for result in results) > 500
