"""Presence: who left does not stay, who is there is not lost, and who may not see it is told nothing."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

CORE = "unit/core/test_presence"
LETTERS = "unit/core/test_presence_letters"
SERVICE = "unit/service/test_presence"

BUGS = (
    PlantedBug(
        name="a late announcement brings somebody back",
        sentence="Who left is there again, because an older announcement arrived after the newer one.",
        file="core/presence.py",
        old="        elif announcement.number <= other.number:\n",
        new="        elif False:\n",
        selection=noticed_by(CORE, "test_what_comes_late_or_twice_brings_nobody_back"),
    ),
    PlantedBug(
        name="a leave that was lost is lost for good",
        sentence="An announcement of all does not say that the others are gone.",
        file="core/presence.py",
        old="        return self.all_from <= connection and ",
        new="        return False and self.all_from <= connection and ",
        selection=("tests/property/test_presence.py",),
    ),
    PlantedBug(
        name="a part of an announcement counts for the whole",
        sentence="People leave because they are in another part, which was lost.",
        file="core/presence_letters.py",
        old="    ends = [*starts[1:], None]\n",
        new="    ends = [None for _ in starts]\n",
        selection=noticed_by(
            LETTERS, "test_part_of_an_announcement_of_all_takes_nobody_away_of_whom_another_part_tells"
        ),
    ),
    PlantedBug(
        name="the people of a dead node stay",
        sentence="Nobody expires.",
        file="service/presence_room.py",
        old="        if self.roster.expire(",
        new="        if False and self.roster.expire(",
        selection=noticed_by(SERVICE, "test_the_people_of_a_node_that_falls_silent_leave_when_they_expire"),
    ),
    PlantedBug(
        name="a presence outlives its subscription",
        sentence="A device whose socket broke is shown as present.",
        file="service/presence_feed.py",
        old="            if self._connection is not None:\n                room.leave",
        new="            if False:\n                room.leave",
        selection=noticed_by(SERVICE, "test_the_first_event_lists_everyone_and_then_come_joins_updates_and_leaves"),
    ),
    PlantedBug(
        name="a slow watcher is taken for one that was told",
        sentence="What it had no room for it never learns.",
        file="service/presence_audience.py",
        old="                watcher.left_at(before)\n",
        new="                watcher.left_at(self.told)\n",
        selection=noticed_by(SERVICE, "test_a_watcher_without_room_catches_up_with_one_event"),
    ),
    PlantedBug(
        name="access ends, presence goes on",
        sentence="Who was removed from a dataset goes on watching who is there.",
        file="service/presence_room.py",
        old="            if watcher.viewer.identity in identities:\n",
        new="            if True:\n",
        selection=noticed_by(SERVICE, "test_when_access_ends_presence_and_subscription_end"),
    ),
    PlantedBug(
        name="letters take the place of hints",
        sentence="While Redis is slow, cursors crowd commits out.",
        file="bus/link.py",
        old="        if self._queued_bytes <= MAX_QUEUED_WITH_LETTERS and not self._wire.lost.done():\n",
        new="        if True:\n",
        selection=noticed_by(
            "integration/test_redis_bus", "test_letters_that_a_server_does_not_take_leave_room_for_hints"
        ),
    ),
    PlantedBug(
        name="a letter is believed without its seal",
        sentence="Who can write to Redis puts people where they are not.",
        file="bus/hints.py",
        old="        return body if hmac.compare_digest(seal, sealed) else None\n",
        new="        return body if seal or sealed else None\n",
        selection=noticed_by("unit/bus/test_hints", "test_a_letter_of_somebody_without_the_secret_is_left_out"),
    ),
)
