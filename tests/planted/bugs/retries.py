"""Retries: a sync whose answer was lost is sent again, and must have its effect once."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

ONE_EFFECT = noticed_by(
    "property/test_core_conflicts", "test_a_retry_has_no_second_effect_and_gives_the_first_outcome_again"
)

BUGS = (
    PlantedBug(
        name="receipt ignored",
        sentence="A retry takes effect a second time.",
        file="core/commit.py",
        old="if state.receipt is not None:",
        new="if False:",
        selection=ONE_EFFECT,
    ),
    PlantedBug(
        name="receipt of another input accepted",
        sentence="Other changes under a used mutationId are answered with the first ones' outcome, and lost.",
        file="core/commit.py",
        old="if state.receipt.request_hash != hash_:",
        new="if False:",
        selection=noticed_by(
            "property/test_core_conflicts", "test_the_same_mutation_id_with_other_changes_is_an_error"
        ),
    ),
    PlantedBug(
        name="bases are no part of a request",
        sentence="A change made anew on what the device has seen since is answered as the one that conflicted.",
        file="core/receipts.py",
        old="(type(change).__name__, change, _base_name(change))",
        new="(type(change).__name__, change)",
        selection=noticed_by("unit/core/test_receipts", "test_bases_without_content_are_told_apart"),
    ),
    PlantedBug(
        name="receipt not written",
        sentence="The store forgets what it answered.",
        file="storage/sqlite_sync.py",
        old="if decision.receipt is not None:",
        new="if False:",
        selection=noticed_by("contract/test_store_receipts", "test_a_retry_has_no_second_effect"),
    ),
    PlantedBug(
        name="conflict without a receipt",
        sentence="A conflict that was answered may be a success when asked again, and nobody decided on it.",
        file="core/commit.py",
        old="receipt=receipt if request.changes else None,",
        new="receipt=receipt if request.changes and not conflicted else None,",
        selection=noticed_by("contract/test_store_receipts", "test_a_conflict_is_remembered_as_one"),
    ),
    PlantedBug(
        name="receipts of an identity's devices meet",
        sentence="A device is answered with the outcome of another one that chose the same mutationId.",
        file="storage/rows.py",
        old='"device": author.device or "", "mutation_id": mutation_id}',
        new='"device": "", "mutation_id": mutation_id}',
        selection=noticed_by("contract/test_store_receipts", "test_mutation_ids_of_different_devices_do_not_meet"),
    ),
    PlantedBug(
        name="receipt of a dataset that is gone answers for the new one",
        sentence="A retry is told that its changes are in a dataset which never saw them.",
        file="core/commit.py",
        old="if head is None or head.id != state.receipt.dataset:",
        new="if head is None:",
        selection=noticed_by(
            "unit/core/test_commit", "test_a_retry_after_the_dataset_was_created_anew_is_told_to_resync"
        ),
    ),
    PlantedBug(
        name="a retry pulls nothing",
        sentence="A device whose answer was lost does not get what others wrote meanwhile.",
        file="storage/sqlite_sync.py",
        old="                outcomes=decision.receipt.outcomes,\n"
        "                records=state.records,\n"
        "                page=_page(writes, stored, request, page),\n",
        new="                outcomes=decision.receipt.outcomes,\n"
        "                records=state.records,\n"
        "                page=None,\n",
        selection=noticed_by("contract/test_store_receipts", "test_a_retry_pulls_from_its_own_checkpoint"),
    ),
    PlantedBug(
        name="conflict of a device with its own retried write",
        sentence="A device whose answer was lost conflicts with itself.",
        file="core/conflicts.py",
        old="return current.version == next_version or (author.device is not None and current.updated_by == author)",
        new="return current.version == next_version",
        selection=noticed_by(
            "property/test_core_conflicts", "test_a_record_that_this_very_device_wrote_last_is_no_conflict"
        ),
    ),
    PlantedBug(
        name="a caller without a device id has a past",
        sentence="What one nameless caller wrote is taken for the own last write of another one.",
        file="core/conflicts.py",
        old="(author.device is not None and current.updated_by == author)",
        new="(current.updated_by == author)",
        selection=noticed_by(
            "unit/core/test_conflicts", "test_a_caller_without_a_device_id_has_written_nothing_before"
        ),
    ),
)
