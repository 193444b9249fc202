-- Times are whole microseconds since 1970-01-01T00:00:00Z. Every key holds the column by which the table can be
-- distributed over several machines: the owner, or, of receipts, the identity that synced.

CREATE TABLE syncline.meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO syncline.meta (name, value) VALUES ('epoch', substr(replace(gen_random_uuid()::text, '-', ''), 1, 16));

-- A row is locked by whoever creates a dataset for its owner, so that the datasets of one owner are counted one by one.
CREATE TABLE syncline.owners (
    owner text COLLATE "C" PRIMARY KEY,
    stamp bigint NOT NULL
);

CREATE TABLE syncline.datasets (
    id bytea NOT NULL,
    owner text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    record_count bigint NOT NULL,
    size_bytes bigint NOT NULL,
    conflict_policy text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    updated_by_identity text,
    updated_by_device text,
    pruned_through bigint NOT NULL,
    deleted_at bigint,                      -- NULL: live
    tombstones bigint NOT NULL,             -- how many of the dataset's records are removed ones
    stamp bigint NOT NULL,                  -- raised by whatever changes the dataset or one of its records
    PRIMARY KEY (id, owner)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);

CREATE UNIQUE INDEX live_datasets ON syncline.datasets (owner, name) WHERE deleted_at IS NULL;
CREATE INDEX deleted_datasets ON syncline.datasets (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX datasets_with_tombstones ON syncline.datasets (tombstones) WHERE tombstones > 0;

CREATE TABLE syncline.records (
    dataset bytea NOT NULL,
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text,                             -- compact JSON; NULL: a tombstone
    version bigint NOT NULL,                -- the commit that wrote it last ...
    ordinal bigint NOT NULL,                -- ... and its place in that commit
    updated_at bigint NOT NULL,
    updated_by_identity text NOT NULL,
    updated_by_device text,
    device_time bigint,
    field_versions text,                    -- [rest, {field: version}]; NULL: no field was ever merged
    unseen bigint,                          -- of what it was written on; NULL: its author had seen all of it
    PRIMARY KEY (dataset, key, owner)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE UNIQUE INDEX records_log ON syncline.records (dataset, version, ordinal, owner);
CREATE INDEX tombstones_by_version ON syncline.records (dataset, version, ordinal) WHERE value IS NULL;
CREATE INDEX tombstones_by_age ON syncline.records (updated_at) WHERE value IS NULL;

CREATE TABLE syncline.receipts (
    identity text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,       -- '': a caller without one
    mutation_id text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    dataset bytea NOT NULL,
    version bigint,                         -- NULL: nothing was written, because changes conflicted
    outcomes text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (identity, device, mutation_id)
);

CREATE INDEX receipts_by_age ON syncline.receipts (created_at);
