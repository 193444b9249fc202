"""Storage: what was acknowledged is on disk, and what is read is what was there at one moment."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

DURABILITY = "unit/storage/test_sqlite_durability"
PRUNING = "contract/test_store_pruning"

BUGS = (
    # --- the writer ---------------------------------------------------------------------------------------------------
    PlantedBug(
        name="acknowledged before the commit",
        sentence="The device is told that its sync is durable while the disk knows nothing of it.",
        file="storage/sqlite_writer.py",
        old="        return lambda: job.returned(value)\n",
        new="        self._settle([lambda: job.returned(value)])\n        return lambda: None\n",
        selection=noticed_by(DURABILITY, "test_while_the_fsync_lasts_nobody_hears_of_the_commit"),
    ),
    PlantedBug(
        name="commit without fsync",
        sentence="What was acknowledged is in the cache of a machine that may lose power.",
        file="storage/sqlite_connections.py",
        old='connection.pragma("synchronous", "full")',
        new='connection.pragma("synchronous", "normal")',
        selection=noticed_by(DURABILITY, "test_a_sync_returns_only_after_an_fsync_that_began_after_it_was_asked_for"),
    ),
    PlantedBug(
        name="a commit that failed is acknowledged",
        sentence="The disk refused the group, and every device of it is told that its sync is durable.",
        file="storage/sqlite_writer.py",
        old="return [_raising(job, unavailable(error)) for job in group]",
        new="return [lambda job=job: job.returned(None) for job in group]",
        selection=noticed_by(DURABILITY, "test_a_commit_that_fails_is_undone_and_the_store_goes_on"),
    ),
    PlantedBug(
        name="a failing sync takes its group along",
        sentence="One sync over a limit makes the syncs of others fail that happen to be committed with it.",
        file="storage/sqlite_writer.py",
        old="if not self._connection.in_transaction:",
        new="if True:",
        selection=noticed_by("contract/test_store_concurrency", "test_a_sync_that_fails_does_not_hurt_its_neighbours"),
    ),
    PlantedBug(
        name="what a failing job wrote stays",
        sentence="Half of a sync that raised is committed with the others of its group.",
        file="storage/sqlite_writer.py",
        old='self._connection.execute("ROLLBACK TO job; RELEASE job")',
        new='self._connection.execute("RELEASE job")',
        selection=noticed_by(
            "unit/storage/test_sqlite_writer", "test_a_job_that_raises_takes_nothing_of_its_neighbours_with_it"
        ),
    ),
    PlantedBug(
        name="one commit for each sync",
        sentence="Devices that write at the same time wait for as many fsyncs as they are.",
        file="storage/sqlite_writer.py",
        old="min(len(self._waiting), self._max_group_jobs)",
        new="min(len(self._waiting), 1)",
        selection=noticed_by(DURABILITY, "test_all_that_waits_is_committed_with_one_fsync"),
    ),
    # --- reads --------------------------------------------------------------------------------------------------------
    PlantedBug(
        name="a read sees two moments",
        sentence="A page and the checkpoint beside it are of different versions.",
        file="storage/sqlite_readers.py",
        old='    lookups.connection.execute("BEGIN")\n',
        new="",
        selection=noticed_by("unit/storage/test_sqlite_readers", "test_a_read_looks_at_one_moment"),
    ),
    PlantedBug(
        name="the log is read without removals",
        sentence="Who was away never hears of a removal.",
        file="storage/sql/sqlite/queries.sql",
        old="AND +key >= :from AND +key < :until\nORDER BY version, ordinal;",
        new="AND +key >= :from AND +key < :until AND value IS NOT NULL\nORDER BY version, ordinal;",
        selection=noticed_by("contract/test_store_log", "test_removals_are_in_the_log"),
    ),
    PlantedBug(
        name="the log is read from behind the next record",
        sentence="The first record that a device lacks is left out.",
        file="storage/sql/sqlite/queries.sql",
        old="(version, ordinal) >= (:version, :ordinal)",
        new="(version, ordinal) > (:version, :ordinal)",
        selection=noticed_by("contract/test_store_log", "test_a_page_may_end_inside_a_large_commit"),
    ),
    # --- pruning ------------------------------------------------------------------------------------------------------
    PlantedBug(
        name="tombstones pruned too early",
        sentence="A device that was away for a day has to pull everything anew.",
        file="storage/sqlite_pruning.py",
        old="before=now - retention.tombstones, batch=batch",
        new="before=now, batch=batch",
        selection=noticed_by(PRUNING, "test_what_is_within_its_retention_stays"),
    ),
    PlantedBug(
        name="receipts pruned too early",
        sentence="A device that sends its outbox again after a day has its changes applied twice.",
        file="storage/sqlite_pruning.py",
        old="prune_receipts(before=now - retention.receipts, batch=batch",
        new="prune_receipts(before=now, batch=batch",
        selection=noticed_by(PRUNING, "test_what_is_within_its_retention_stays", "test_old_receipts_go"),
    ),
    PlantedBug(
        name="pruned removals not remembered",
        sentence="Nobody knows that removals are forgotten: who missed them keeps the records for ever.",
        file="storage/sqlite_pruning.py",
        old="    _remember(writes, pruning)\n",
        new="",
        selection=noticed_by(PRUNING, "test_who_has_not_seen_a_pruned_removal_is_told_to_resync"),
    ),
    PlantedBug(
        name="removals pruned for their number not remembered",
        sentence="As above, where a dataset has too many of them.",
        file="storage/sqlite_pruning.py",
        old="        _remember(writes, surplus)\n",
        new="",
        selection=noticed_by(PRUNING, "test_tombstones_beyond_their_number_go_oldest_first"),
    ),
    PlantedBug(
        name="the mark of what was pruned goes back",
        sentence="A later, smaller pruning makes forgotten removals look as if they were there.",
        file="storage/sql/sqlite/queries.sql",
        old="pruned_through = max(pruned_through, :version)",
        new="pruned_through = :version",
        selection=noticed_by(PRUNING, "test_the_mark_of_what_was_pruned_never_goes_back"),
    ),
    # --- the file -----------------------------------------------------------------------------------------------------
    PlantedBug(
        name="two servers on one file",
        sentence="Each of them announces only its own commits.",
        file="storage/sqlite_lock.py",
        old="fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)",
        new="pass",
        selection=noticed_by(
            "unit/storage/test_sqlite_database", "test_a_file_in_use_is_refused_by_the_name_of_its_user"
        ),
    ),
    PlantedBug(
        name="a newer file is opened",
        sentence="An older server writes into a schema that it does not know.",
        file="storage/sqlite_migrations.py",
        old="if found > len(migrations):",
        new="if False:",
        selection=noticed_by(
            "unit/storage/test_sqlite_migrations", "test_a_file_of_a_newer_syncline_is_refused_and_left_alone"
        ),
    ),
    PlantedBug(
        name="a restored file keeps its epoch",
        sentence="Devices go on in a log that lost commits which they have.",
        file="storage/sql/sqlite/queries.sql",
        old="UPDATE meta SET value = lower(hex(randomblob(8))) WHERE name = 'epoch' RETURNING value;",
        new="UPDATE meta SET value = value WHERE name = 'epoch' RETURNING value;",
        selection=noticed_by("unit/storage/test_sqlite_database", "test_a_renewed_epoch_makes_devices_resync"),
    ),
)
