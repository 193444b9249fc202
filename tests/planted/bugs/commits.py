"""Commits: all of a sync or nothing of it, one version each, within the limits."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

ORDER = "property/test_core_order"
COUNTS = noticed_by(ORDER, "test_counts_always_equal_a_recount_and_never_grow_over_a_limit")

BUGS = (
    PlantedBug(
        name="partial batch in atomic mode",
        sentence="Of a sync with a conflict the other changes are written.",
        file="core/commit.py",
        old="commit = None if conflicted else draft.commit(state.epoch)",
        new="commit = draft.commit(state.epoch)",
        selection=noticed_by("unit/core/test_commit", "test_in_atomic_mode_one_conflict_leaves_everything_as_it_was"),
        quick=True,
    ),
    PlantedBug(
        name="version skipped by 2",
        sentence="A commit raises the version by two, and every device waits for the one between.",
        file="core/commit.py",
        old="self.next_version = Version(head.version + 1)",
        new="self.next_version = Version(head.version + 2)",
        selection=noticed_by(ORDER, "test_each_committed_sync_raises_the_version_by_exactly_one"),
    ),
    PlantedBug(
        name="a record keeps the version that made it",
        sentence="A change of a record stands where the record was first written, behind every device's checkpoint.",
        file="core/commit.py",
        old="            version=self.next_version,\n            ordinal=",
        new="            version=self.next_version if current is None else current.version,\n            ordinal=",
        selection=noticed_by(ORDER, "test_a_record_carries_the_version_that_last_wrote_it"),
    ),
    PlantedBug(
        name="one bad change fails the others in per-change mode",
        sentence="A device's outbox is wedged by one change that can never be applied.",
        file="core/commit.py",
        old="        if request.atomic:\n            raise\n",
        new="        raise\n",
        selection=noticed_by(
            ORDER, "test_in_per_change_mode_each_change_has_its_own_outcome_and_a_bad_one_wedges_nothing"
        ),
    ),
    PlantedBug(
        name="limit checked after the write in per-change mode",
        sentence="The change that goes over a limit is rejected, and there.",
        file="core/commit.py",
        old="            if not request.atomic:\n                records, size = draft.with_record(record)\n",
        new="            draft.put(record)\n"
        "            if not request.atomic:\n                records, size = draft.with_record(record)\n",
        selection=COUNTS,
    ),
    PlantedBug(
        name="limit not checked in atomic mode",
        sentence="A dataset grows without bounds.",
        file="core/commit.py",
        old="if request.atomic and not conflicted:",
        new="if False:",
        selection=COUNTS,
    ),
    PlantedBug(
        name="overwritten value still counted",
        sentence="A dataset's size grows with every change of the same record.",
        file="core/commit.py",
        old="(before.size_bytes if before is not None else 0)",
        new="0",
        selection=COUNTS,
    ),
    PlantedBug(
        name="changes of one sync do not see each other",
        sentence="Of two increments in one sync only the last one counts.",
        file="core/commit.py",
        old="return self._written.get(key) or self._before.get(key)",
        new="return self._before.get(key)",
        selection=noticed_by(
            "unit/core/test_commit", "test_changes_of_one_key_build_on_each_other_and_make_one_record"
        ),
    ),
)
