-- Times are whole microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('epoch', lower(hex(randomblob(8))));

CREATE TABLE datasets (
    number INTEGER PRIMARY KEY,             -- what records refer to: shorter than the id
    id BLOB NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    conflict_policy TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by_identity TEXT,
    updated_by_device TEXT,
    pruned_through INTEGER NOT NULL,
    tombstones INTEGER NOT NULL,            -- how many of the dataset's records are removed ones
    deleted_at INTEGER                      -- NULL: live
) STRICT;

CREATE UNIQUE INDEX live_datasets ON datasets (owner, name) WHERE deleted_at IS NULL;
CREATE INDEX deleted_datasets ON datasets (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX datasets_with_tombstones ON datasets (tombstones) WHERE tombstones > 0;

CREATE TABLE records (
    dataset INTEGER NOT NULL REFERENCES datasets (number),
    key TEXT NOT NULL,
    value TEXT,                             -- compact JSON; NULL: a tombstone
    version INTEGER NOT NULL,               -- the commit that wrote it last ...
    ordinal INTEGER NOT NULL,               -- ... and its place in that commit
    updated_at INTEGER NOT NULL,
    updated_by_identity TEXT NOT NULL,
    updated_by_device TEXT,
    device_time INTEGER,
    field_versions TEXT,                    -- [rest, {field: version}]; NULL: no field was ever merged
    unseen INTEGER,                         -- of what it was written on; NULL: its author had seen all of it
    PRIMARY KEY (dataset, key)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX records_log ON records (dataset, version, ordinal);
CREATE INDEX tombstones_by_version ON records (dataset, version, ordinal) WHERE value IS NULL;
CREATE INDEX tombstones_by_age ON records (updated_at) WHERE value IS NULL;

CREATE TABLE receipts (
    identity TEXT NOT NULL,
    device TEXT NOT NULL,                   -- '': a caller without one
    mutation_id TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    dataset BLOB NOT NULL,                  -- its id, not its number: the receipt may outlive it
    version INTEGER,                        -- NULL: nothing was written, because changes conflicted
    outcomes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (identity, device, mutation_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_by_age ON receipts (created_at);
