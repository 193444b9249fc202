"""Lost answers, killed servers, killed devices: acknowledged edits are never lost, and none is applied twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncline.client import Device, ServerUnreachable
from tests.integration.client.conftest import OpenDevice
from tests.support.lossy_proxy import lossy_proxy
from tests.support.server import RunningServer


async def test_a_lost_answer_is_asked_for_again_and_has_no_second_effect(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    async with lossy_proxy(shared_server.port) as proxy:
        notes = open_device(shared_server, "phone", url=proxy.url).dataset("notes")
        await notes.synchronize()
        notes.increment("n")
        notes.put("k", 1)
        proxy.lose_answers(2)
        report = await notes.synchronize()
    other = open_device(shared_server, "laptop").dataset("notes")
    await other.synchronize()
    assert proxy.lost == 2
    assert report.pushed == 2
    assert other.records() == notes.records() == {"n": 1, "k": 1}


async def test_a_push_whose_answers_were_all_lost_is_settled_after_a_restart_of_the_device(
    open_device: OpenDevice, shared_server: RunningServer, identity: str
) -> None:
    async with lossy_proxy(shared_server.port) as proxy:
        device = open_device(shared_server, "phone", url=proxy.url, attempts=2)
        notes = device.dataset("notes")
        await notes.synchronize()
        notes.increment("n")
        proxy.lose_answers(2)
        with pytest.raises(ServerUnreachable):
            await notes.synchronize()
        notes.increment("n")
        await device.close()
    again = open_device(shared_server, "phone").dataset("notes")
    assert again.records() == {"n": 2}
    assert (await again.synchronize()).pushed == 2
    other = open_device(shared_server, "laptop").dataset("notes")
    await other.synchronize()
    assert other.records() == {"n": 2}


async def test_edits_made_while_a_push_is_under_way_are_kept(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    notes = open_device(shared_server, "phone").dataset("notes")
    pushes = [asyncio.create_task(notes.synchronize()) for _ in range(3)]
    for number in range(200):
        notes.increment("n")
        notes.put("k", number)
        await asyncio.sleep(0)
    await asyncio.gather(*pushes)
    await notes.synchronize()
    other = open_device(shared_server, "laptop").dataset("notes")
    await other.synchronize()
    assert other.records() == notes.records() == {"n": 200, "k": 199}


async def test_without_a_server_edits_are_kept_and_sent_when_there_is_one(
    own_server: RunningServer, open_device: OpenDevice
) -> None:
    own_server.kill()
    notes = open_device(own_server, "phone", attempts=2).dataset("notes")
    notes.put("k", 1)
    with pytest.raises(ServerUnreachable):
        await notes.synchronize()
    assert (notes.get("k"), len(notes.pending())) == (1, 1)
    await asyncio.to_thread(own_server.start)
    assert (await notes.synchronize()).pushed == 1


async def test_a_server_killed_again_and_again_under_two_devices_counts_every_edit_once(
    own_server: RunningServer, open_device: OpenDevice
) -> None:
    datasets = [open_device(own_server, name, attempts=1).dataset("notes") for name in ("phone", "laptop")]
    acknowledged = 0

    async def edit(number: int) -> None:
        nonlocal acknowledged
        dataset = datasets[number]
        for turn in range(40):
            dataset.increment("n")
            dataset.put(f"{dataset is datasets[0]}-{turn}", turn)
            try:
                acknowledged += (await dataset.synchronize()).pushed
            except ServerUnreachable:
                await asyncio.sleep(0.02)

    async def kill() -> None:
        for _ in range(3):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(own_server.restart)

    async with asyncio.TaskGroup() as group:
        group.create_task(edit(0))
        group.create_task(edit(1))
        group.create_task(kill())
    for dataset in [*datasets, *datasets]:
        await dataset.synchronize()
    expected = {"n": 80} | {f"{first}-{turn}": turn for first in (True, False) for turn in range(40)}
    assert datasets[0].records() == datasets[1].records() == expected
    assert acknowledged <= 160
    assert [dataset.pending() for dataset in datasets] == [[], []]


_EDITING = """
import asyncio, sys
from syncline.client import Device, ServerUnreachable
from syncline.client.backoff import Backoff

async def main(url, token, cache):
    async with Device(url, token=token, cache=cache) as device:
        notes = device.dataset("notes")
        for number in range(10_000):
            notes.increment("n")
            notes.put(f"k{number % 50}", number)
            print(number + 1, flush=True)
            if number % 3 == 2:
                await notes.synchronize()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_device_killed_in_the_middle_loses_no_edit_that_its_method_returned_for(
    open_device: OpenDevice, shared_server: RunningServer, identity: str, tmp_path: Path
) -> None:
    made = 0
    for round_ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _EDITING,
            shared_server.url,
            shared_server.token("phone", identity),
            str(tmp_path / "phone.db"),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        said = 0
        async with asyncio.timeout(60):
            while said < 20 + 7 * round_:
                said = int(await process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = await process.stdout.read()
            await process.wait()
        lines = [int(line) for line in rest.split(b"\n")[:-1]]
        made += max([said, *lines])
        # The edit after the last one said may have been made as well.
        async with Device(
            shared_server.url, token=shared_server.token("phone", identity), cache=tmp_path / "phone.db"
        ) as device:
            assert made <= device.dataset("notes").get("n") <= made + 1
            await device.dataset("notes").synchronize()
            made = device.dataset("notes").get("n")
    other = open_device(shared_server, "laptop").dataset("notes")
    await other.synchronize()
    assert other.get("n") == made
