"""Rosters of several nodes that tell each other of their people: whatever becomes of what they tell, in the end all
know the same. The oracle keeps, for each node, who is really there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from syncline.core.json_values import JsonText
from syncline.core.presence import Announcement, ConnectionId, Entry, NodeId, Present, Roster, Who, changes
from syncline.core.presence_letters import announced, read
from tests.support.presence import NOON, applied, who

NODES = [NodeId("n1"), NodeId("n2"), NodeId("n3")]
PEOPLE = [who("alice"), who("alice", "laptop"), who("bob"), who("bob", None)]
EXPIRES = 30.0
SMALL = 500
"""Bytes of a letter: a few entries fill one, so that an announcement of all is several."""

nodes = st.sampled_from(NODES)
people = st.sampled_from(PEOPLE)
states = st.integers(0, 3).map(lambda number: JsonText(str(number)))


class Nodes(RuleBasedStateMachine):
    on_their_way = Bundle("on_their_way")
    """Letters: each with the node that it goes to. Delivered in any order, lost, or doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.moments = count()
        self.connections = count(1)
        self.rosters = {node: Roster(node) for node in NODES}
        self.numbers = {node: count() for node in NODES}
        self.really: dict[NodeId, dict[ConnectionId, Entry]] = defaultdict(dict)
        self.told: dict[NodeId, dict[Who, Present]] = {node: {} for node in NODES}

    def _moment(self) -> datetime:
        # Several changes may fall into one moment of the clock.
        return NOON + timedelta(seconds=next(self.moments) // 3)

    def _letters(self, node: NodeId, connections: Iterable[ConnectionId] | None) -> list[tuple[NodeId, bytes]]:
        own = self.rosters[node].own
        if connections is None:
            letters = announced(node, self.numbers[node], own, whole=True, max_bytes=SMALL)
        else:
            here = {each: own[each] for each in connections if each in own}
            gone = tuple(each for each in connections if each not in own)
            letters = announced(node, self.numbers[node], here, gone=gone, max_bytes=SMALL)
        return [(other, letter) for letter in list(letters) for other in NODES if other != node]

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(target=on_their_way, node=nodes, person=people, state=states)
    def join(self, node: NodeId, person: Who, state: JsonText) -> object:
        connection, now = ConnectionId(next(self.connections)), self._moment()
        entry = Entry(identity=person[0], device=person[1], state=state, since=now, changed=now)
        self.rosters[node].own[connection] = self.really[node][connection] = entry
        return multiple(*self._letters(node, [connection]))

    @rule(target=on_their_way, node=nodes, person=people, state=states)
    def set_state(self, node: NodeId, person: Who, state: JsonText) -> object:
        now = self._moment()
        changed = self.rosters[node].update(person, state, now)
        for connection, was in self.really[node].items():
            if (was.identity, was.device) == person:
                self.really[node][connection] = Entry(
                    identity=was.identity, device=was.device, state=state, since=was.since, changed=now
                )
        return multiple(*self._letters(node, changed))

    @rule(target=on_their_way, node=nodes, data=st.data())
    def leave(self, node: NodeId, data: st.DataObject) -> object:
        if not self.really[node]:
            return multiple()
        connection = data.draw(st.sampled_from(sorted(self.really[node])))
        del self.really[node][connection], self.rosters[node].own[connection]
        return multiple(*self._letters(node, [connection]))

    @rule(target=on_their_way, node=nodes)
    def announce_all(self, node: NodeId) -> object:
        return multiple(*self._letters(node, None))

    @rule(letter=consumes(on_their_way))
    def arrives(self, letter: tuple[NodeId, bytes]) -> None:
        self._deliver(*letter)

    @rule(letter=on_their_way)
    def arrives_and_will_arrive_again(self, letter: tuple[NodeId, bytes]) -> None:
        self._deliver(*letter)

    @rule(letter=consumes(on_their_way))
    def is_lost(self, letter: tuple[NodeId, bytes]) -> None:
        pass

    @rule(seconds=st.floats(0.1, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for roster in self.rosters.values():
            roster.expire(self.now - EXPIRES)

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def a_node_always_knows_its_own(self) -> None:
        for node, roster in self.rosters.items():
            present = roster.present()
            assert {entry.who for entry in self.really[node].values()} <= present.keys()

    @rule(node=nodes)
    def who_watches_is_told_what_the_roster_has(self, node: NodeId) -> None:
        present = self.rosters[node].present()
        event = changes(self.told[node], present)
        if event is not None:
            self.told[node] = applied(self.told[node], event)
        assert self.told[node] == present

    @rule()
    def once_all_have_announced_all_know_the_same(self) -> None:
        for node in NODES:
            for to, letter in self._letters(node, None):
                self._deliver(to, letter)
        expected = self._really_present()
        for roster in self.rosters.values():
            found = {each: (present.state, present.since) for each, present in roster.present().items()}
            assert found == expected

    @rule()
    def when_nothing_is_heard_any_more_only_ones_own_are_left(self) -> None:
        self.now += EXPIRES + 1
        for node, roster in self.rosters.items():
            roster.expire(self.now - EXPIRES)
            assert set(roster.present()) == {entry.who for entry in self.really[node].values()}

    def _deliver(self, to: NodeId, letter: bytes) -> None:
        heard = read(letter)
        assert isinstance(heard, Announcement)
        assert len(letter) <= SMALL
        self.rosters[to].hear(heard, self.now)

    def _really_present(self) -> dict[Who, tuple[JsonText, datetime]]:
        by_person: dict[Who, list[tuple[datetime, NodeId, ConnectionId, Entry]]] = defaultdict(list)
        for node, found in self.really.items():
            for connection, entry in found.items():
                by_person[entry.who].append((entry.changed, node, connection, entry))
        return {
            person: (max(known, key=lambda each: each[:3])[3].state, min(each[3].since for each in known))
            for person, known in by_person.items()
        }


TestNodes = Nodes.TestCase
