"""``python -m tests.benchmarks``: measure, and print what was found."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.benchmarks import machine, report
from tests.benchmarks.cores import Cores
from tests.benchmarks.measurement import CaseResult, Sample, Scenario, ScenarioResult
from tests.benchmarks.registry import SCENARIOS
from tests.benchmarks.workbench import Workbench

_OPEN_FILES = 65_536
_NEEDED_OPEN_FILES = 10_000
"""The largest load opens 9,000 sockets."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measures a server on this machine."
    )
    parser.add_argument("--only", metavar="NAME", action="append", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--rounds", metavar="N", type=int, default=None, help="how often; default 3, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it works")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures of all rounds there")
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, help="whose disk to measure with; default: temporary files'"
    )
    parser.add_argument("--list", action="store_true", help="name the scenarios, and measure nothing")
    arguments = parser.parse_args(given)
    if arguments.rounds is None:
        arguments.rounds = 1 if arguments.quick else 3
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """The exit code."""
    arguments = _arguments(given)
    if arguments.list:
        print("\n".join(f"{scenario.name:20}  {scenario.title}" for scenario in SCENARIOS))
        return 0
    allowed = _allow_open_files()
    if allowed < _NEEDED_OPEN_FILES and not arguments.quick:
        print(f"{allowed} open files are allowed here, and {_NEEDED_OPEN_FILES} needed: ulimit -Hn", file=sys.stderr)
        return 1
    chosen = [scenario for scenario in SCENARIOS if arguments.only is None or scenario.name in arguments.only]
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        bench = Workbench(cores=Cores.here(), folder=Path(folder))
        conditions = machine.describe(bench.cores, bench.folder)
        conditions["rounds"] = f"{arguments.rounds}: median (least–greatest)" if arguments.rounds > 1 else "1"
        if arguments.quick:
            conditions["note"] = "quick: these figures only show that the benchmarks work"
        print(report.facts(conditions))
        results: list[ScenarioResult] = []
        for scenario in chosen:
            # Told at once: what fails later takes nothing with it.
            results.append(_run(scenario, bench, quick=arguments.quick, rounds=arguments.rounds))
            print(f"\n{report.section(results[-1])}", flush=True)
            _write(arguments, conditions, results)
    return 0


def _write(arguments: argparse.Namespace, conditions: dict[str, str], results: Sequence[ScenarioResult]) -> None:
    if arguments.json is None:
        return
    now = {**conditions, "load average after": machine.load_average()}
    figures = report.raw(now, results, quick=arguments.quick, rounds=arguments.rounds)
    arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def _run(scenario: Scenario, bench: Workbench, *, quick: bool, rounds: int) -> ScenarioResult:
    cases = scenario.cases(quick=quick)
    samples: list[list[Sample]] = [[] for _ in cases]
    # Round by round, Syncline and its baselines in turn, so that whatever else the machine does hits all alike.
    for number in range(rounds):
        for case, found in zip(cases, samples, strict=True):
            _progress(f"{scenario.name}, round {number + 1} of {rounds}: {case.load}: {case.contender}")
            found.append(case.measure(bench))
    results = [
        CaseResult(load=case.load, contender=case.contender, other_load=case.other_load, samples=found)
        for case, found in zip(cases, samples, strict=True)
    ]
    return ScenarioResult(scenario=scenario, cases=results)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _allow_open_files() -> int:
    """How many there may be. A socket is one, at both ends; what this process may have, its children may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


if __name__ == "__main__":
    sys.exit(main())
