"""Sockets: the bounded sender of a connection, mutations of devices that left, and shared encodings."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

SENDER = "unit/web/test_sender"
TURNS = "unit/web/test_sender_turns"

BUGS = (
    PlantedBug(
        name="the sender claims what it drops",
        sentence="An event for which there is no room is dropped, and its feed believes that it was sent.",
        file="web/sender.py",
        old="        if not self._accepts(len(message)):\n            return False\n",
        new="        if not self._accepts(len(message)):\n            return True\n",
        selection=noticed_by(SENDER, "test_a_push_over_the_limit_is_refused_and_nothing_of_it_is_sent"),
    ),
    PlantedBug(
        name="the sender has no bound",
        sentence="A device that reads slowly fills the server's memory.",
        file="web/sender.py",
        old="return pending + size <= self._limit or pending <= self._limit // 4",
        new="return True",
        selection=noticed_by(SENDER, "test_a_push_over_the_limit_is_refused_and_nothing_of_it_is_sent"),
    ),
    PlantedBug(
        name="events overtake who waits",
        sentence="A page that waits for room never gets its turn while small events find some.",
        file="web/sender.py",
        old="return not self._closed and not self._waiting and self._fits(size)",
        new="return not self._closed and self._fits(size)",
        selection=noticed_by(TURNS, "test_who_waits_for_room_is_not_overtaken_by_what_is_small_enough"),
    ),
    PlantedBug(
        name="an answer overtakes what waits for the tick",
        sentence="A sync is answered before the events that it follows.",
        file="web/sender.py",
        old="if self._flusher is None and not self._queue and self._outlet.write_now(message):",
        new="if self._flusher is None and self._outlet.write_now(message):",
        selection=noticed_by(SENDER, "test_an_answer_takes_what_waits_for_the_tick_along_in_front_of_it"),
    ),
    PlantedBug(
        name="what waits for the tick is sent twice",
        sentence="A device gets every event that was not sent at once a second time.",
        file="web/sender.py",
        old="            self._wrote(self._queued)\n            self._queue.clear()\n            self._queued = 0\n",
        new="            self._wrote(self._queued)\n",
        selection=noticed_by(TURNS, "test_what_left_with_one_tick_does_not_leave_with_the_next"),
    ),
    PlantedBug(
        name="a disconnect cancels the mutation",
        sentence="A sync that the server had begun is given up because its device lost the connection.",
        file="web/mutations.py",
        old="return await asyncio.shield(task)",
        new="return await task",
        selection=noticed_by("unit/web/test_mutations", "test_giving_up_the_waiting_does_not_stop_the_mutation"),
    ),
    PlantedBug(
        name="subscriptions with other variables share an encoding",
        sentence="A device gets the fields that another one asked for.",
        file="api/engine.py",
        old="return (operation.document.fingerprint, operation.name, shaping)",
        new="return (operation.document.fingerprint, operation.name)",
        selection=noticed_by("property/test_cohorts", "test_a_cohort_gets_what_each_of_it_would_get_alone"),
    ),
    PlantedBug(
        name="what was compiled for some variables serves all",
        sentence="A field that is left out for one device is left out for another, which asked for it.",
        file="api/engine.py",
        old="Projections() if operation.payload_variables else operation.projections",
        new="operation.projections",
        selection=noticed_by("property/test_projections", "test_a_query_s_projection_is_what_execution_gives"),
    ),
)
