"""Sharing: who has no right any more has none, on any node, and an invitation lets in as many as it says."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

STORE = "contract/test_store_sharing"
NODES = "contract/test_store_nodes"
CORE = "unit/core/test_sharing"

BUGS = (
    PlantedBug(
        name="what was decided for a member is written although it was removed meanwhile",
        sentence="A removed editor's last sync, under way on another node, is committed after the removal.",
        file="storage/sql/postgres/queries.sql",
        old="SET owner = $3, scope = $4, stamp = stamp + 1 WHERE",
        new="SET owner = $3, scope = $4 WHERE",
        selection=noticed_by(
            NODES, "test_a_sync_that_was_decided_before_a_removal_and_comes_to_be_written_after_it_is_refused"
        ),
    ),
    PlantedBug(
        name="a viewer may write",
        sentence="Whoever was let in to look changes records.",
        file="core/model.py",
        old="return self is not Role.VIEWER",
        new="return True",
        selection=noticed_by(STORE, "test_an_editor_writes_and_a_viewer_only_reads"),
    ),
    PlantedBug(
        name="a use of an invitation is not counted",
        sentence="A code that was meant for one is good for all to whom it is passed on.",
        file="core/sharing.py",
        old="uses_left=invitation.uses_left - 1",
        new="uses_left=invitation.uses_left",
        selection=noticed_by(
            STORE,
            "test_twenty_who_accept_a_code_with_five_uses_at_once_are_five",
            "test_an_invitation_that_is_no_longer_good_lets_nobody_in",
        ),
    ),
    PlantedBug(
        name="a change of standing does not raise the scope",
        sentence="Nodes that deliver to a removed member do not notice that it is one no more.",
        file="core/sharing.py",
        old="head=replace(head, scope=head.scope + 1),",
        new="head=head,",
        selection=noticed_by(STORE, "test_the_scope_is_raised_exactly_when_somebodys_standing_changes"),
    ),
    PlantedBug(
        name="a stranger with a dataset's id is taken for a member",
        sentence="Who has seen an id anywhere pulls the records.",
        file="storage/sql/sqlite/queries.sql",
        old="WHERE id = :id AND role IS NOT NULL;",
        new="WHERE id = :id;",
        selection=noticed_by(STORE, "test_a_stranger_finds_nothing"),
    ),
    PlantedBug(
        name="an invitation crosses tenants",
        sentence="One customer's user becomes a member of another customer's dataset.",
        file="core/sharing.py",
        old="        or tenant_of(identity) != tenant_of(head.owner)\n",
        new="",
        selection=noticed_by(CORE, "test_an_invitation_of_one_tenant_is_none_in_another"),
    ),
    PlantedBug(
        name="who gave a dataset away still passes for its owner",
        sentence="Its former owner deletes what is another's by now, having asked a moment before.",
        file="storage/postgres_datasets.py",
        old="    if head.owner == found.head.owner:\n",
        new="    if True:\n",
        selection=noticed_by(NODES, "test_who_gives_a_dataset_away_deletes_it_before_or_not_at_all"),
    ),
    PlantedBug(
        name="members' syncs stay in their own lanes",
        sentence="Those who write to one dataset on one node lose to each other, again and again.",
        file="storage/postgres_syncs.py",
        old="        if right is lane:\n",
        new="        if right:\n",
        selection=noticed_by(
            "integration/postgres/test_postgres_lanes",
            "test_twenty_members_who_write_to_one_dataset_at_once_lose_no_sync_to_each_other",
        ),
    ),
    PlantedBug(
        name="a copy that goes on does not see that a key was rotated",
        sentence="A key that was rotated since is good in the copy as it was.",
        file="storage/sqlite_source.py",
        old="if table is DATASETS or table.changes_alone]",
        new="if table is DATASETS]",
        selection=noticed_by("unit/storage/test_sqlite_source", "test_every_write_makes_another_state_of_the_source"),
    ),
)
