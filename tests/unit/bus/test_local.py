from __future__ import annotations

import asyncio

from syncline.bus.local import LocalBus
from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT, DatasetId, Epoch, IdentityId, Version
from syncline.topics import dataset_topic, identity_topic

DATASET = DatasetId("0" * 32)
TOPIC = dataset_topic(NO_TENANT, DATASET)


def hint(version: int) -> Hint:
    return Hint(dataset=DATASET, epoch=Epoch("0" * 16), version=Version(version))


async def arrived() -> None:
    """Let everything that was published arrive."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


async def test_every_listener_gets_every_hint_in_order() -> None:
    bus = LocalBus()
    heard: list[tuple[str, int]] = []
    await bus.watch(TOPIC, lambda hint: heard.append(("a", hint.version)))
    await bus.watch(TOPIC, lambda hint: heard.append(("b", hint.version)))
    for version in range(3):
        bus.publish(TOPIC, hint(version))
    await arrived()
    assert heard == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


async def test_a_hint_is_not_delivered_within_publish() -> None:
    bus = LocalBus()
    heard: list[Hint] = []
    await bus.watch(TOPIC, heard.append)
    bus.publish(TOPIC, hint(1))
    assert not heard
    await arrived()
    assert heard == [hint(1)]


async def test_a_closed_watch_hears_nothing_of_what_was_on_its_way() -> None:
    bus = LocalBus()
    heard: list[Hint] = []
    watch = await bus.watch(TOPIC, heard.append)
    bus.publish(TOPIC, hint(1))
    watch.close()
    watch.close()
    await arrived()
    assert not heard
    assert not bus._watches


async def test_topics_are_apart() -> None:
    bus = LocalBus()
    heard: list[Hint] = []
    await bus.watch(identity_topic(IdentityId("alice")), heard.append)
    bus.publish(TOPIC, hint(1))
    await arrived()
    assert not heard


async def test_a_listener_that_fails_does_not_keep_the_hint_from_the_others() -> None:
    bus = LocalBus()
    heard: list[Hint] = []

    def fails(_hint: Hint) -> None:
        raise RuntimeError("listener")

    await bus.watch(TOPIC, fails)
    await bus.watch(TOPIC, heard.append)
    bus.publish(TOPIC, hint(1))
    await arrived()
    assert heard == [hint(1)]
