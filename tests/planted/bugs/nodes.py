"""Several nodes: nothing is decided on what is not there any more, and what became of a write is found out."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

NODES = "contract/test_store_nodes"
OUTAGES = "integration/postgres/test_postgres_outages"

BUGS = (
    PlantedBug(
        name="written whatever happened meanwhile",
        sentence="A sync writes to a dataset that another node deleted since it was decided.",
        file="storage/sql/postgres/queries.sql",
        old="    WHERE d.stamp = u.stamp\n",
        new="    WHERE TRUE\n",
        selection=noticed_by(NODES, "test_nothing_is_written_to_a_dataset_that_another_node_deleted"),
    ),
    PlantedBug(
        name="two nodes count an owner's datasets at once",
        sentence="Each creates the last one that the owner may have.",
        file="storage/sql/postgres/queries.sql",
        old="SET stamp = excluded.stamp WHERE o.stamp = excluded.stamp - 1",
        new="SET stamp = excluded.stamp",
        selection=noticed_by(NODES, "test_the_last_dataset_that_an_owner_may_have_is_created_on_one_of_two_nodes"),
    ),
    PlantedBug(
        name="a commit whose answer was lost is somebody else's",
        sentence="The sync is taken for a retry: its commit is announced to nobody.",
        file="storage/postgres_group.py",
        old="            if receipt == decision.receipt:\n",
        new="            if False and receipt == decision.receipt:\n",
        selection=noticed_by(
            OUTAGES,
            "test_a_sync_whose_commit_went_through_is_not_reported_as_failed_when_its_answer_is_lost",
        ),
    ),
    PlantedBug(
        name="a promoted replica is taken for the primary",
        sentence="Devices believe checkpoints of commits that the replica never had.",
        file="storage/postgres_connections.py",
        old="        if lineage == self._lineage:\n",
        new="        if self._lineage is not None:\n",
        selection=noticed_by(OUTAGES, "test_devices_resync_when_a_replica_is_promoted_that_lost_commits"),
    ),
    PlantedBug(
        name="a page holds what its group has overwritten",
        sentence="A device that pulls while others write gets a record twice, the older state last or first.",
        file="storage/postgres_group.py",
        old="        if record.key not in loaded.written:\n",
        new="        if record.key:\n",
        selection=noticed_by(
            "contract/test_store_concurrency",
            "test_pages_of_concurrent_syncs_hold_each_record_once_as_it_was_at_that_version",
        ),
    ),
)
