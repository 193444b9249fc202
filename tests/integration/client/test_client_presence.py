"""presence() of the Python device against a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from syncline.client import Device, Presence, ServerRefused
from syncline.errors import InvalidInput
from tests.integration.client.conftest import OpenDevice
from tests.support.server import RunningServer
from tests.support.valkey import eventually


class People:
    """Who is present, as one device knows it now: the states by device."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.states: dict[str | None, Any] | None = None

    async def follow(self) -> None:
        async with aclosing(self.presence.everyone()) as everyone:
            async for people in everyone:
                self.states = {each.device: each.state for each in people}

    async def are(self, **states: Any) -> None:
        await eventually(lambda: self.states == states)


@asynccontextmanager
async def following(presence: Presence) -> AsyncIterator[People]:
    people = People(presence)
    task = asyncio.create_task(people.follow())
    try:
        yield people
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def made(device: Device) -> Device:
    notes = device.dataset("notes")
    notes.put("a", 1)
    await notes.synchronize()
    return device


async def test_devices_see_each_other_come_change_and_leave(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    phone = await made(open_device(shared_server, "phone"))
    laptop = open_device(shared_server, "laptop")
    async with following(phone.dataset("notes").presence({"cursor": 1})) as on_phone:
        await on_phone.are(phone={"cursor": 1})
        async with following(laptop.dataset("notes").presence(None)) as on_laptop:
            for people in (on_phone, on_laptop):
                await people.are(phone={"cursor": 1}, laptop=None)
            await on_laptop.presence.set_state([2])
            for people in (on_phone, on_laptop):
                await people.are(phone={"cursor": 1}, laptop=[2])
        await on_phone.are(phone={"cursor": 1})
        async with following(laptop.dataset("notes").presence()) as watching:
            await watching.are(phone={"cursor": 1})


async def test_without_a_server_nobody_is_known_and_with_it_back_the_latest_state_counts(
    open_device: OpenDevice, own_server: RunningServer
) -> None:
    phone, laptop = await made(open_device(own_server, "phone")), open_device(own_server, "laptop")
    async with (
        following(phone.dataset("notes").presence(1)) as on_phone,
        following(laptop.dataset("notes").presence(2)) as on_laptop,
    ):
        await on_phone.are(phone=1, laptop=2)
        own_server.kill()
        await on_phone.are()
        await on_phone.presence.set_state(3)
        own_server.start()
        for people in (on_phone, on_laptop):
            await people.are(phone=3, laptop=2)


async def test_before_the_first_sync_one_waits_for_the_dataset(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    phone = open_device(shared_server, "phone")
    async with following(phone.dataset("notes").presence(1)) as people:
        await people.are()
        await made(phone)
        await people.are(phone=1)


async def test_what_the_server_refuses_is_raised_and_what_is_no_json_at_once(
    open_device: OpenDevice, shared_server: RunningServer
) -> None:
    notes = (await made(open_device(shared_server, "phone"))).dataset("notes")
    with pytest.raises(InvalidInput):
        notes.presence(object())
    large = notes.presence("x" * 2_000)
    with pytest.raises(ServerRefused, match="presenceBytes"):
        await anext(large.everyone())
    async with following(notes.presence(1)) as people:
        await people.are(phone=1)
        with pytest.raises(ServerRefused, match="presenceBytes"):
            await people.presence.set_state("x" * 2_000)
        assert people.presence._state == "1"
