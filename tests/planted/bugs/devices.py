"""Devices: what the client keeps, sends again, and believes of what it is told."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

LOCAL = "unit/client/test_local"
CACHE = "unit/client/test_cache"

BUGS = (
    PlantedBug(
        name="a push is sent again under a new mutationId",
        sentence="A device whose answer was lost has its changes applied twice.",
        file="client/local.py",
        old="            if batch is not None or only_begun:\n                return batch\n",
        new="            if batch is not None:\n                self.outbox.end(batch.mutation_id)\n",
        selection=noticed_by(LOCAL, "test_a_push_whose_answer_was_lost_goes_out_again_the_same_even_after_a_crash"),
    ),
    PlantedBug(
        name="an edit made during a push goes with it",
        sentence="What was edited after the push was sent is dropped with its answer.",
        file="client/local.py",
        old="free = free_tail(existing, new.bundle)",
        new="free = existing",
        selection=noticed_by(LOCAL, "test_what_is_frozen_never_changes_and_later_edits_are_kept_for_the_next_push"),
    ),
    PlantedBug(
        name="a conflict is taken for success",
        sentence="An edit that the server refused is dropped without a word.",
        file="client/local.py",
        old="                self.outbox.save(replace(edit, state=EditState.CONFLICT, batch=None))\n"
        "            case ChangeStatus.REJECTED:\n",
        new="                self.outbox.drop([edit])\n            case ChangeStatus.REJECTED:\n",
        selection=noticed_by(LOCAL, "test_a_conflict_stays_pending_on_top_and_nothing_of_it_is_sent"),
    ),
    PlantedBug(
        name="a delta from elsewhere is applied",
        sentence="A device takes in a page that does not lead on from where it stands, and skips what is between.",
        file="client/cache.py",
        old="            if self.standing().checkpoint != delta.since:\n                return None\n",
        new="",
        selection=noticed_by(CACHE, "test_a_delta_from_elsewhere_is_not_applied"),
    ),
    PlantedBug(
        name="an older state replaces a newer one",
        sentence="A delayed answer takes a device back to what it had.",
        file="client/cache.py",
        old='" WHERE excluded.version > records.version OR excluded.generation > records.generation",',
        new='" WHERE TRUE",',
        selection=noticed_by(CACHE, "test_an_older_state_does_not_replace_a_newer_one"),
    ),
    PlantedBug(
        name="a resync leaves what is gone",
        sentence="Records that the new log does not have stay on the device for ever.",
        file="client/cache.py",
        old="            if delta.complete:\n                self._finish_resync()\n",
        new="",
        selection=noticed_by(CACHE, "test_during_a_resync_what_was_there_can_be_read_until_the_pull_is_complete"),
    ),
    PlantedBug(
        name="versions of another log are believed",
        sentence="After a restore a device's edit overwrites what it never saw, because a version happens to be equal.",
        file="client/local.py",
        old="            if reason in _VERSIONS_LOST:\n                self._forget_versions()\n",
        new="",
        selection=noticed_by(LOCAL, "test_after_a_restore_versions_mean_nothing_and_values_are_compared"),
    ),
)
