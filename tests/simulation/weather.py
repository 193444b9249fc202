"""How bad things are in one run: how often what goes wrong does, as the dice of the seed have it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Probabilities, unless the name says seconds."""

    # the store
    store_seconds: float
    """The greatest usual time for a question to arrive, or for its answer."""
    store_slow: float
    store_down: float
    """The question does not arrive."""
    store_answer_lost: float
    crash_after_commit: float
    """The node dies before it can tell anyone."""

    # the bus between the nodes
    hint_lost: float
    hint_doubled: float
    hint_poisoned: float
    hint_bare: float
    """It says only that there is a commit, as for one that is too large to travel with it."""
    hint_seconds: float

    # the links between devices and nodes
    link_seconds: float
    request_lost: float
    request_doubled: float
    answer_lost: float


FAIR = Weather(
    store_seconds=0.02,
    store_slow=0.0,
    store_down=0.0,
    store_answer_lost=0.0,
    crash_after_commit=0.0,
    hint_lost=0.0,
    hint_doubled=0.0,
    hint_poisoned=0.0,
    hint_bare=0.5,
    hint_seconds=0.02,
    link_seconds=0.02,
    request_lost=0.0,
    request_doubled=0.0,
    answer_lost=0.0,
)
"""Nothing goes wrong; all takes its time."""


def rough(dice: random.Random) -> Weather:
    """Weather to break things in; in some runs one thing is fair while another is foul."""
    return Weather(
        store_seconds=dice.choice([0.001, 0.005, 0.05]),
        store_slow=dice.choice([0.0, 0.05, 0.2]),
        store_down=dice.choice([0.0, 0.0, 0.02, 0.1]),
        store_answer_lost=dice.choice([0.0, 0.02, 0.1]),
        crash_after_commit=dice.choice([0.0, 0.0, 0.05, 0.1]),
        hint_lost=dice.choice([0.0, 0.1, 0.5, 1.0]),
        hint_doubled=dice.choice([0.0, 0.2]),
        hint_poisoned=dice.choice([0.0, 0.1, 0.3]),
        hint_bare=dice.choice([0.0, 0.2]),
        hint_seconds=dice.choice([0.001, 0.02, 0.5]),
        link_seconds=dice.choice([0.005, 0.05, 0.3]),
        request_lost=dice.choice([0.0, 0.05, 0.15]),
        request_doubled=dice.choice([0.0, 0.1, 0.3]),
        answer_lost=dice.choice([0.0, 0.05, 0.15]),
    )


def deaf(weather: Weather) -> Weather:
    """The same, and no hint reaches another node."""
    return replace(weather, hint_lost=1.0)
