"""Conflicts: what two devices wrote without knowing of each other."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

NEVER_SILENTLY = noticed_by(
    "property/test_core_conflicts",
    "test_a_change_based_on_an_older_version_by_another_device_is_never_silently_applied",
)

BUGS = (
    PlantedBug(
        name="last write wins without check",
        sentence="Under REJECT a change based on an older version is applied.",
        file="core/conflicts.py",
        old="case ConflictPolicy.REJECT:\n            return _CONFLICT",
        new="case ConflictPolicy.REJECT:\n            return Judgement(ChangeStatus.APPLIED, after)",
        selection=NEVER_SILENTLY,
        quick=True,
    ),
    PlantedBug(
        name="writes of the identity's other devices count as own",
        sentence="The tablet overwrites what the phone wrote and it never saw.",
        file="core/conflicts.py",
        old="current.updated_by == author)",
        new="current.updated_by.identity == author.identity)",
        selection=NEVER_SILENTLY,
    ),
    PlantedBug(
        name="own last write hides unseen writes",
        sentence="A device that added to a set on top of what it never saw may overwrite all of it.",
        file="core/conflicts.py",
        old="if own and knows(change.base, unseen, seen):",
        new="if own:",
        selection=noticed_by(
            "unit/core/test_unseen_writes",
            "test_a_commutative_change_on_top_of_theirs_does_not_make_a_stale_put_win",
        ),
    ),
    PlantedBug(
        name="a second own write forgets what was not seen",
        sentence="A device that adds to a set twice on top of what it never saw may overwrite all of it.",
        file="core/conflicts.py",
        old="return current.unseen",
        new="return None",
        selection=noticed_by(
            "unit/core/test_unseen_writes",
            "test_what_was_not_seen_stays_unseen_through_the_device_s_further_writes",
        ),
    ),
    PlantedBug(
        name="the store forgets what was not seen",
        sentence="As above, but only what is read back from disk is affected.",
        file="storage/sql/sqlite/queries.sql",
        old="    unseen = excluded.unseen;",
        new="    unseen = NULL;",
        selection=noticed_by(
            "contract/test_store_unseen_writes",
            "test_what_was_not_seen_is_kept_with_the_record_and_goes_when_it_was_seen",
        ),
    ),
    PlantedBug(
        name="base by value compared as text",
        sentence="A device that spells the same value another way conflicts with nobody.",
        file="core/conflicts.py",
        old="current.value is not None and same(current.value, value)",
        new="current.value is not None and current.value == value",
        selection=noticed_by("unit/core/test_conflicts", "test_a_base_by_value_is_compared_as_json_and_not_as_text"),
    ),
    PlantedBug(
        name="true equals 1",
        sentence="A change from 1 to true is taken for no change.",
        file="core/json_values.py",
        old="if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:",
        new="if a is None or b is None:",
        selection=noticed_by("unit/core/test_json_values", "test_values_that_differ_are_not_equal"),
    ),
    PlantedBug(
        name="increment treated as a conflict",
        sentence="Two devices that count at the same time are told to settle it.",
        file="core/conflicts.py",
        old="    if not isinstance(change, BasedChange):\n",
        new="    if not isinstance(change, BasedChange) and current is not None and not seen.covers(current):\n"
        "        return _CONFLICT\n"
        "    if not isinstance(change, BasedChange):\n",
        selection=noticed_by("property/test_core_conflicts", "test_commutative_changes_never_conflict"),
    ),
    PlantedBug(
        name="unchanged change raises the version",
        sentence="A change equal to what is there makes a commit, and conflicts.",
        file="core/conflicts.py",
        old="    if equal(before, after):\n        return _UNCHANGED\n",
        new="",
        selection=noticed_by(
            "property/test_core_conflicts",
            "test_a_change_equal_to_what_is_there_never_conflicts_and_makes_no_version",
        ),
    ),
    PlantedBug(
        name="merge patch of the same field slips through",
        sentence="Two devices merge one field, and the first one's value is gone.",
        file="core/commit.py",
        old="fields = {**before.fields, **dict.fromkeys(patch, version)}",
        new="fields = {**before.fields}",
        selection=noticed_by("property/test_core_conflicts", "test_merges_of_the_same_field_conflict"),
    ),
    PlantedBug(
        name="merge patch passes if one of its fields is untouched",
        sentence="A patch of two fields overwrites the one that was written since.",
        file="core/conflicts.py",
        old="return seen != BEGINNING and all(",
        new="return seen != BEGINNING and any(",
        selection=noticed_by("unit/core/test_conflicts", "test_a_merge_of_a_field_written_since_is_a_conflict"),
    ),
    PlantedBug(
        name="a put does not count as a write of every field",
        sentence="A patch of a field that somebody replaced together with the whole object slips through.",
        file="core/commit.py",
        old="if not isinstance(change, Merge) or current is None or current.value is None or value is None:\n"
        "        return None\n",
        new="if not isinstance(change, Merge) or current is None or current.value is None or value is None:\n"
        "        return None if current is None else current.field_versions\n",
        selection=noticed_by("unit/core/test_commit", "test_anything_else_moves_all_fields"),
    ),
    PlantedBug(
        name="three-way merge drops what the others changed",
        sentence="Under MERGE a field that only the other device wrote is reset.",
        file="core/operations.py",
        old="    result = dict(theirs)\n    for name in [*mine",
        new="    result = dict(base)\n    for name in [*mine",
        selection=noticed_by(
            "property/test_core_conflicts",
            "test_merge_keeps_what_either_side_changed_and_of_one_field_the_later_writer",
        ),
    ),
    PlantedBug(
        name="what was removed comes back to life",
        sentence="A device that has not seen a removal writes over the tombstone without a conflict.",
        file="core/conflicts.py",
        old="or (not live and seen == BEGINNING)",
        new="or not live",
        selection=NEVER_SILENTLY,
    ),
)
