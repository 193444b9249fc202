"""The parts of the benchmarks that figures depend on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import msgspec
import pytest

from tests.benchmarks import report
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measurement import Case, CaseResult, Column, Sample, ScenarioResult, Spread, percentile
from tests.benchmarks.meter import Window, cpu_seconds, family, resident_bytes
from tests.benchmarks.syncs import SyncBodies
from tests.benchmarks.wire.frames import TEXT, FrameReader, text_frame


class Sums:
    """A scenario of which only the table is looked at."""

    name = "sums"
    title = "Sums"
    columns = (Column(name="sums/s", compared=True), Column(name="µs", decimals=1))

    def cases(self, *, quick: bool) -> Sequence[Case]:
        return []


def sample(*, generator_share: float = 0.1, **figures: float) -> Sample:
    return Sample(figures=figures, generator_share=generator_share)


def case(*samples: Sample, contender: Contender = Contender.SYNCLINE) -> CaseResult:
    return CaseResult(load="all", contender=contender, samples=samples)


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


def test_a_process_has_memory_and_is_of_its_own_family() -> None:
    assert os.getpid() in family(os.getpid())
    assert resident_bytes(os.getpid()) > 1_000_000


def test_a_table_has_the_median_and_the_range_of_the_rounds() -> None:
    rounds = [sample(**{"sums/s": value, "µs": 1e6 / value}) for value in (1_000, 3_000, 2_000)]
    text = report.section(ScenarioResult(scenario=Sums(), cases=[case(*rounds)]))
    assert "2,000 (1,000–3,000)" in text
    assert "500.0 (333.3–1,000.0)" in text
    assert "generator used more" not in text


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
