"""What every bus does: inside a process, and between the nodes that share a Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from syncline.bus.local import LocalBus
from syncline.bus.redis import RedisBus
from syncline.core.feed import Hint
from syncline.core.ids import NO_TENANT, IdentityId
from syncline.ports import MAX_LETTER_BYTES, Bus
from syncline.topics import identity_topic, presence_topic
from tests.support.hints import Ear, a_dataset, a_hint, a_topic
from tests.support.valkey import eventually, valkey

TOPIC = a_topic()
LAST = a_hint(9_999)


@contextmanager
def _local(_folder: Path) -> Iterator[tuple[Bus, Bus]]:
    bus = LocalBus()
    yield bus, bus


@asynccontextmanager
async def _redis(folder: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    async with valkey(folder) as server:
        here, there = RedisBus.open(server.url), RedisBus.open(server.url)
        await here.start()
        await there.start()
        yield here, there
        await there.close()


@pytest.fixture(params=["local", "redis"])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    """The bus as two services have it that share it. For the local one, they are on the same node."""
    if request.param == "local":
        with _local(tmp_path) as buses:
            yield buses
            await buses[0].close()
    else:
        async with _redis(tmp_path) as buses:
            yield buses
            await buses[0].close()


async def test_listeners_everywhere_get_every_hint_once_and_in_order(nodes: tuple[Bus, Bus]) -> None:
    here, there = nodes
    near, far = Ear(), Ear()
    await here.watch(TOPIC, near)
    await there.watch(TOPIC, far)
    hints = [a_hint(version) for version in range(1, 501)]
    for hint in hints:
        here.publish(TOPIC, hint)
    there.publish(a_topic(1), a_hint())
    await near.hears(500)
    await far.hears(500)
    await _all_arrived(nodes)
    assert near.heard == [*hints, LAST]
    assert far.heard == [*hints, LAST]


async def test_hints_travel_both_ways(nodes: tuple[Bus, Bus]) -> None:
    here, there = nodes
    near, far = Ear(), Ear()
    await here.watch(TOPIC, near)
    await there.watch(TOPIC, far)
    there.publish(TOPIC, a_hint(1))
    await near.hears(1)
    here.publish(TOPIC, a_hint(2))
    await far.hears(2)
    assert far.versions == [1, 2]


async def test_a_hint_is_not_delivered_within_publish(nodes: tuple[Bus, Bus]) -> None:
    ear = Ear()
    await nodes[0].watch(TOPIC, ear)
    nodes[0].publish(TOPIC, a_hint())
    assert not ear.heard
    await ear.hears(1)


async def test_a_closed_watch_hears_nothing_of_what_was_on_its_way(nodes: tuple[Bus, Bus]) -> None:
    for bus in nodes:
        ear = Ear()
        watch = await bus.watch(TOPIC, ear)
        nodes[0].publish(TOPIC, a_hint())
        watch.close()
        watch.close()
        await _all_arrived(nodes)
        assert not ear.heard


async def test_topics_are_apart(nodes: tuple[Bus, Bus]) -> None:
    ear = Ear()
    await nodes[1].watch(identity_topic(IdentityId("alice")), ear)
    # Among that many topics there are some of every channel.
    for number in range(300):
        nodes[0].publish(a_topic(number), a_hint(number=number))
    await _all_arrived(nodes)
    assert not ear.heard


async def test_a_listener_that_fails_does_not_keep_the_hint_from_the_others(nodes: tuple[Bus, Bus]) -> None:
    def fails(_hint: Hint) -> None:
        raise RuntimeError("listener")

    for bus in nodes:
        await bus.watch(TOPIC, fails)
    ear = Ear()
    await nodes[1].watch(TOPIC, ear)
    nodes[0].publish(TOPIC, a_hint(1))
    nodes[0].publish(TOPIC, a_hint(2))
    await ear.hears(2)


async def test_a_commit_too_large_for_the_bus_still_rings(nodes: tuple[Bus, Bus]) -> None:
    ear = Ear()
    await nodes[1].watch(TOPIC, ear)
    nodes[0].publish(TOPIC, a_hint(7, value=f'"{"x" * 1_000_000}"'))
    await ear.hears(1)
    assert ear.versions == [7]


async def test_a_bus_that_works_is_up(nodes: tuple[Bus, Bus]) -> None:
    assert all(bus.up for bus in nodes)


async def test_closing_twice_is_harmless_and_publishing_after_it(nodes: tuple[Bus, Bus]) -> None:
    await nodes[0].close()
    await nodes[0].close()
    nodes[0].publish(TOPIC, a_hint())


# --- letters ----------------------------------------------------------------------------------------------------------

LETTERS_TOPIC = presence_topic(NO_TENANT, a_dataset())


async def test_letters_reach_who_listens_everywhere_once_and_in_order(nodes: tuple[Bus, Bus]) -> None:
    here, there = nodes
    near, far = list[bytes](), list[bytes]()
    await here.listen(LETTERS_TOPIC, near.append)
    await there.listen(LETTERS_TOPIC, far.append)
    letters = [bytes([number, 0, 255]) for number in range(200)]
    for letter in letters:
        here.tell(LETTERS_TOPIC, letter)
    assert not near
    await eventually(lambda: len(near) >= 200 and len(far) >= 200)
    await _all_arrived(nodes)
    assert (near, far) == (letters, letters)


async def test_letters_and_hints_of_one_topic_are_apart(nodes: tuple[Bus, Bus]) -> None:
    here, there = nodes
    ear, letters = Ear(), list[bytes]()
    await there.listen(TOPIC, letters.append)
    here.publish(TOPIC, a_hint(1))
    here.tell(TOPIC, b"a letter")
    await eventually(lambda: letters)
    await there.watch(TOPIC, ear)
    here.publish(TOPIC, a_hint(2))
    await ear.hears(1)
    assert letters == [b"a letter"]
    assert ear.versions == [2]


async def test_letters_of_other_topics_are_not_heard(nodes: tuple[Bus, Bus]) -> None:
    heard: list[bytes] = []
    await nodes[1].listen(LETTERS_TOPIC, heard.append)
    for number in range(1, 300):
        nodes[0].tell(presence_topic(NO_TENANT, a_dataset(number)), b"")
    await _all_arrived(nodes)
    assert not heard


async def test_who_stopped_listening_hears_nothing_of_what_was_on_its_way(nodes: tuple[Bus, Bus]) -> None:
    for bus in nodes:
        heard: list[bytes] = []
        watch = await bus.listen(LETTERS_TOPIC, heard.append)
        nodes[0].tell(LETTERS_TOPIC, b"late")
        watch.close()
        watch.close()
        await _all_arrived(nodes)
        assert not heard


async def test_an_ear_that_fails_does_not_keep_the_letter_from_the_others(nodes: tuple[Bus, Bus]) -> None:
    def fails(_letter: bytes) -> None:
        raise RuntimeError("ear")

    heard: list[bytes] = []
    await nodes[1].listen(LETTERS_TOPIC, fails)
    await nodes[1].listen(LETTERS_TOPIC, heard.append)
    nodes[0].tell(LETTERS_TOPIC, b"one")
    nodes[0].tell(LETTERS_TOPIC, b"two")
    await eventually(lambda: heard == [b"one", b"two"])


async def test_the_longest_letter_arrives_and_a_longer_one_is_refused(nodes: tuple[Bus, Bus]) -> None:
    heard: list[bytes] = []
    await nodes[1].listen(LETTERS_TOPIC, heard.append)
    longest = b"x" * MAX_LETTER_BYTES
    nodes[0].tell(LETTERS_TOPIC, longest)
    with pytest.raises(ValueError, match="at most"):
        nodes[0].tell(LETTERS_TOPIC, longest + b"x")
    await eventually(lambda: heard == [longest])


async def test_telling_a_bus_that_is_closed_is_harmless(nodes: tuple[Bus, Bus]) -> None:
    await nodes[0].close()
    nodes[0].tell(LETTERS_TOPIC, b"")


async def _all_arrived(nodes: tuple[Bus, Bus]) -> None:
    """What was published before this call has arrived: another hint has, after it."""
    ear = Ear()
    watch = await nodes[1].watch(TOPIC, ear)
    nodes[0].publish(TOPIC, LAST)
    await ear.hears(1)
    watch.close()
