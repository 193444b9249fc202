"""What the people at the devices do: changes of all kinds, on whatever their device shows them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from syncline.core.changes import (
    AT_CHECKPOINT,
    AddToSet,
    AnyState,
    AtVersion,
    Base,
    Change,
    Increment,
    Malformed,
    Max,
    Merge,
    Put,
    Remove,
    RemoveFromSet,
)
from syncline.core.ids import MutationId, RecordKey, Version
from syncline.core.json_values import json_text
from syncline.core.model import ConflictPolicy
from tests.simulation.replica import Replica

PREFIXES = ("a/", "b/")
_PLAIN_KEYS = ("1", "2", "3", "4")
_POLICIES = (None, ConflictPolicy.REJECT, ConflictPolicy.LAST_WRITER_WINS, ConflictPolicy.MERGE)


def number_key(prefix: str) -> RecordKey:
    """A record that is only ever incremented."""
    return RecordKey(prefix + "number")


def set_key(prefix: str) -> RecordKey:
    """A record to which members are only ever added, each a text of its own."""
    return RecordKey(prefix + "set")


@dataclass(frozen=True, slots=True)
class Push:
    """A sync as it is sent, again and again until its outcome is known."""

    mutation_id: MutationId
    changes: tuple[Change, ...]
    on_conflict: ConflictPolicy | None
    atomic: bool


def edit(dice: random.Random, replica: Replica, mark: str) -> Change:
    """One change; ``mark`` is a text that no other edit has."""
    prefix = replica.prefix or dice.choice(PREFIXES)
    key = RecordKey(prefix + dice.choice(_PLAIN_KEYS))
    kind = dice.random()
    if kind < 0.2:
        return Increment(key=number_key(prefix), by=dice.randint(1, 9))
    if kind < 0.35:
        return AddToSet(key=set_key(prefix), members=(json_text(mark, field="member"),))
    if kind < 0.55:
        value = json_text({"by": mark, "n": dice.randint(0, 2)}, field="value")
        return Put(key=key, value=value, base=_base(dice, replica, key))
    if kind < 0.75:
        return Remove(key=key, base=_base(dice, replica, key))
    if kind < 0.9:
        field = dice.choice("xyz")
        return Merge(key=key, patch=json_text({field: mark}, field="patch"), base=_base(dice, replica, key))
    other = RecordKey(prefix + "other")
    others: list[Change] = [
        Max(key=other, value=json_text(dice.randint(0, 99), field="value")),
        RemoveFromSet(key=RecordKey(prefix + "members"), members=(json_text(dice.randint(0, 3), field="member"),)),
        AddToSet(key=RecordKey(prefix + "members"), members=(json_text(dice.randint(0, 3), field="member"),)),
    ]
    return dice.choice(others)


def misfit(dice: random.Random, replica: Replica) -> Change:
    """A change that is to be rejected, and wedges nothing."""
    key = RecordKey((replica.prefix or dice.choice(PREFIXES)) + dice.choice(_PLAIN_KEYS))
    return Malformed(key=key, field="value", reason="it is none")


def _base(dice: random.Random, replica: Replica, key: RecordKey) -> Base:
    known = replica.records.get(key)
    version = Version(0) if known is None or known.deleted else known.version
    bases: list[Base] = [AtVersion(version), AtVersion(version), AnyState(), AT_CHECKPOINT]
    return dice.choice(bases)


def policy(dice: random.Random) -> ConflictPolicy | None:
    return dice.choice(_POLICIES)


def rebased(change: Change) -> Change:
    """The same edit, after its author has seen what the server holds."""
    return replace(change, base=AnyState()) if isinstance(change, Put | Remove | Merge) else change
