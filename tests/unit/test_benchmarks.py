"""The parts of the benchmarks that figures depend on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import report
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import (
    Case,
    CaseResult,
    Column,
    Sample,
    Scenario,
    ScenarioResult,
    Spread,
    percentile,
)
from tests.benchmarks.meter import Window, busy_seconds, cpu_seconds, family, resident_bytes
from tests.benchmarks.registry import SCENARIOS
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.wire.failures import LoadFailed
from tests.benchmarks.wire.frames import TEXT, FrameReader, text_frame
from tests.benchmarks.workbench import Workbench

PATIENCE_SECONDS = 30.0


class Sums:
    """A scenario without a server. ``fails``: it can't be measured."""

    title = "Sums"
    columns = (Column(name="sums/s", compared=True), Column(name="µs", decimals=1))

    def __init__(self, name: str = "sums", *, fails: bool = False) -> None:
        self.name = name
        self._fails = fails

    def cases(self, *, quick: bool) -> Sequence[Case]:
        return [Case(load="all", measure=partial(_sum, fails=self._fails))]


def _sum(_bench: Workbench, *, fails: bool) -> Sample:
    if fails:
        raise LoadFailed("closed with 1013")
    return sample(**{"sums/s": 7})


def sample(*, generator_share: float = 0.1, others_share: float = 0.0, **figures: float) -> Sample:
    return Sample(figures=figures, generator_share=generator_share, others_share=others_share)


def case(
    *samples: Sample,
    load: str = "all",
    contender: Contender = Contender.SYNCLINE,
    other_load: str | None = None,
) -> CaseResult:
    return CaseResult(load=load, contender=contender, other_load=other_load, samples=samples)


@contextmanager
def python(code: str) -> Iterator[int]:
    """A process that runs ``code``, until the end of the block; its id."""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def server_frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000, 1_000_000])
def test_frames_are_read_however_the_bytes_come(step: int) -> None:
    payloads = [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 300]
    if step >= 1_000:
        payloads += [b"e" * 65_535, b"f" * 65_536, b"g"]
    stream = b"".join(server_frame(payload) for payload in payloads)
    reader = FrameReader()
    found = [each for begin in range(0, len(stream), step) for each in reader.frames(stream[begin : begin + step])]
    assert found == [(TEXT, payload) for payload in payloads]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_client_s_frame_is_masked_and_has_its_length(size: int) -> None:
    frame = text_frame(b"x" * size)
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    assert frame.endswith(b"\0\0\0\0" + b"x" * size)


def test_each_sync_of_a_device_has_its_own_mutation_id_and_the_records_are_few() -> None:
    bodies = SyncBodies("notes", "phone", keys=3)
    inputs = [msgspec.json.decode(bodies.next())["variables"]["input"] for _ in range(10)]
    assert len({each["mutationId"] for each in inputs}) == 10
    assert len({each["changes"][0]["put"]["key"] for each in inputs}) == 3
    assert inputs[0]["changes"][0]["put"]["base"] == {"any": True}


def test_percentiles() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (51, 100, 7)


def test_the_spread_of_rounds() -> None:
    assert Spread.of([3, 1, 2]) == Spread(least=1, median=2, greatest=3)


def test_processor_time_counts_all_threads_and_no_waiting() -> None:
    window = Window(os.getpid())
    before = cpu_seconds(os.getpid())
    while time.process_time() < 0.1 or cpu_seconds(os.getpid()) == before:
        sum(range(10_000))
    used = window.close()
    assert used.server_seconds > 0
    assert used.generator_seconds > 0
    assert used.wall_seconds > 0


def test_what_else_runs_on_the_server_s_processor_is_seen() -> None:
    processor = {min(os.sched_getaffinity(0))}
    with python("import time; time.sleep(600)") as server, python("while True: pass") as other:
        os.sched_setaffinity(server, processor)
        os.sched_setaffinity(other, processor)
        before = busy_seconds(processor)
        window = Window(server)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (used := window.close()).others_seconds < 0.1:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
    assert used.server_seconds < 0.1 < used.wall_seconds
    assert used.others_share > 0
    assert busy_seconds(processor) > before


def test_a_generator_that_has_to_wait_for_its_processor_counts_as_busy() -> None:
    mine = os.sched_getaffinity(0)
    processor = {min(mine)}
    with python("while True: pass") as other:
        os.sched_setaffinity(other, processor)
        os.sched_setaffinity(0, processor)
        try:
            window = Window(os.getpid())
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (used := window.close()).generator_waited_seconds < 0.05:
                assert time.monotonic() < deadline
        finally:
            os.sched_setaffinity(0, mine)
    assert used.generator_share > used.generator_seconds / used.wall_seconds


def test_a_process_has_memory_and_is_of_its_own_family() -> None:
    assert os.getpid() in family(os.getpid())
    assert resident_bytes(os.getpid()) > 1_000_000


def test_a_table_has_the_median_and_the_range_of_the_rounds() -> None:
    rounds = [sample(**{"sums/s": value, "µs": 1e6 / value}) for value in (1_000, 3_000, 2_000)]
    text = report.section(ScenarioResult(scenario=Sums(), cases=[case(*rounds)]))
    assert "2,000 (1,000–3,000)" in text
    assert "500.0 (333.3–1,000.0)" in text
    assert "generator used more" not in text
    assert "Something else" not in text


def test_a_busy_generator_is_told() -> None:
    rounds = [sample(generator_share=0.2), sample(generator_share=0.9)]
    text = report.section(ScenarioResult(scenario=Sums(), cases=[case(*rounds)]))
    assert "The generator used more than 85% of its processor" in text


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    own = case(*(sample(**{"sums/s": value}) for value in (10, 400, 30)))
    other = case(*(sample(**{"sums/s": value}) for value in (5, 100, 1)), contender=Contender.UVICORN)
    [ratio] = ScenarioResult(scenario=Sums(), cases=[own, other]).ratios()
    assert (ratio.load, ratio.baseline) == ("all", Contender.UVICORN)
    assert ratio.spreads["sums/s"].median == 4
    assert "µs" not in ratio.spreads


def test_one_load_may_be_compared_with_another() -> None:
    few = case(*(sample(**{"sums/s": value}) for value in (10, 90, 40)), load="few", other_load="many")
    many = case(*(sample(**{"sums/s": value}) for value in (100, 100, 100)), load="many")
    [ratio] = ScenarioResult(scenario=Sums(), cases=[few, many]).ratios()
    assert (ratio.load, ratio.baseline) == ("few", "many")
    assert ratio.spreads["sums/s"] == Spread(least=0.1, median=0.4, greatest=0.9)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
def test_what_a_load_is_compared_with_is_measured_too(scenario: Scenario, quick: bool) -> None:
    cases = scenario.cases(quick=quick)
    loads = {case.load for case in cases}
    for each in cases:
        assert each.other_load is None or (each.other_load in loads and each.other_load != each.load)


def test_a_disturbed_measurement_is_told() -> None:
    rounds = [sample(others_share=0.1), sample(others_share=0.3)]
    text = report.section(ScenarioResult(scenario=Sums(), cases=[case(*rounds)]))
    assert "Something else used more than 15% of the server's processor" in text
    assert "generator used more" not in text


def test_a_scenario_that_fails_takes_nothing_from_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "SCENARIOS", [Sums("works"), Sums("breaks", fails=True)])
    file = tmp_path / "figures.json"
    with pytest.raises(LoadFailed, match="1013"):
        program.main(["--quick", "--json", str(file)])
    assert "| all |" in capsys.readouterr().out
    assert [each["name"] for each in msgspec.json.decode(file.read_bytes())["scenarios"]] == ["works"]


def test_too_few_open_files_are_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "SCENARIOS", [Sums(fails=True)])
    monkeypatch.setattr(program, "_allow_open_files", lambda: 4_096)
    assert program.main([]) == 1
    assert "4096 open files are allowed here, and 10000 needed" in capsys.readouterr().err
