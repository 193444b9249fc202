-- name: epoch
SELECT value FROM meta WHERE name = 'epoch';

-- name: renew_epoch
UPDATE meta SET value = lower(hex(randomblob(8))) WHERE name = 'epoch' RETURNING value;

-- name: head_by_id
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, deleted_at
FROM datasets
WHERE id = :id AND owner = :owner;

-- name: head_by_name
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, deleted_at
FROM datasets
WHERE owner = :owner AND name = :name AND deleted_at IS NULL;

-- name: live_heads
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, deleted_at
FROM datasets
WHERE owner = :owner AND name > :after AND deleted_at IS NULL
ORDER BY name
LIMIT :first;

-- name: deleted_heads
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, deleted_at
FROM datasets
WHERE id IN (SELECT unhex(value) FROM json_each(:ids)) AND owner = :owner AND deleted_at IS NOT NULL;

-- name: owned
-- Of each owner in a JSON array, the live datasets.
SELECT owner, id FROM datasets WHERE owner IN (SELECT value FROM json_each(:owners)) AND deleted_at IS NULL;

-- name: head_marks
SELECT id, version, deleted_at IS NOT NULL
FROM datasets
WHERE id IN (SELECT unhex(value) FROM json_each(:ids));

-- name: usage
SELECT count(*), coalesce(sum(size_bytes), 0)
FROM datasets
WHERE owner = :owner AND deleted_at IS NULL;

-- name: insert_head
INSERT INTO datasets (
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, tombstones
) VALUES (
    :id, :owner, :name, :version, :record_count, :size_bytes, :conflict_policy, :created_at, :updated_at,
    :updated_by_identity, :updated_by_device, :pruned_through, :tombstones
)
RETURNING number;

-- name: update_head
UPDATE datasets
SET
    version = :version, record_count = :record_count, size_bytes = :size_bytes, conflict_policy = :conflict_policy,
    updated_at = :updated_at, updated_by_identity = :updated_by_identity, updated_by_device = :updated_by_device,
    tombstones = tombstones + :more_tombstones
WHERE number = :number;

-- name: delete_head
UPDATE datasets
SET
    record_count = 0, size_bytes = 0, tombstones = 0, updated_at = :updated_at,
    updated_by_identity = :updated_by_identity, updated_by_device = :updated_by_device, deleted_at = :deleted_at
WHERE number = :number;

-- name: delete_records
DELETE FROM records WHERE dataset = :number;

-- name: record
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = (SELECT number FROM datasets WHERE id = :id) AND key = :key;

-- name: records_of_keys
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = :number AND key IN (SELECT value FROM json_each(:keys));

-- name: live_records
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = (SELECT number FROM datasets WHERE id = :id) AND key >= :from AND key < :until AND value IS NOT NULL
ORDER BY key
LIMIT :first;

-- name: log
-- The plus signs keep the keys out of the choice of an index: the order is the log's.
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = :number AND (version, ordinal) >= (:version, :ordinal) AND +key >= :from AND +key < :until
ORDER BY version, ordinal;

-- name: write_record
INSERT INTO records (
    dataset, key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time,
    field_versions, unseen
) VALUES (
    :dataset, :key, :value, :version, :ordinal, :updated_at, :updated_by_identity, :updated_by_device, :device_time,
    :field_versions, :unseen
)
ON CONFLICT (dataset, key) DO UPDATE SET
    value = excluded.value, version = excluded.version, ordinal = excluded.ordinal, updated_at = excluded.updated_at,
    updated_by_identity = excluded.updated_by_identity, updated_by_device = excluded.updated_by_device,
    device_time = excluded.device_time, field_versions = excluded.field_versions,
    unseen = excluded.unseen;

-- name: receipt
SELECT request_hash, dataset, version, outcomes, created_at
FROM receipts
WHERE identity = :identity AND device = :device AND mutation_id = :mutation_id;

-- name: insert_receipt
INSERT INTO receipts (identity, device, mutation_id, request_hash, dataset, version, outcomes, created_at)
VALUES (:identity, :device, :mutation_id, :request_hash, :dataset, :version, :outcomes, :created_at);

-- name: prune_old_tombstones
DELETE FROM records
WHERE (dataset, key) IN (
    SELECT dataset, key FROM records
    WHERE value IS NULL AND updated_at < :before
    ORDER BY updated_at
    LIMIT :batch
)
RETURNING dataset, version;

-- name: datasets_over_tombstones
SELECT number, tombstones
FROM datasets
WHERE tombstones > 0 AND tombstones > :maximum
ORDER BY tombstones DESC
LIMIT :batch;

-- name: prune_surplus_tombstones
DELETE FROM records
WHERE dataset = :number AND key IN (
    SELECT key FROM records
    WHERE dataset = :number AND value IS NULL
    ORDER BY version, ordinal
    LIMIT :batch
)
RETURNING dataset, version;

-- name: raise_pruned_through
UPDATE datasets
SET pruned_through = max(pruned_through, :version), tombstones = tombstones - :pruned
WHERE number = :number;

-- name: prune_receipts
DELETE FROM receipts
WHERE (identity, device, mutation_id) IN (
    SELECT identity, device, mutation_id FROM receipts WHERE created_at < :before ORDER BY created_at LIMIT :batch
);

-- name: prune_deleted_datasets
DELETE FROM datasets
WHERE number IN (
    SELECT number FROM datasets
    WHERE deleted_at IS NOT NULL AND deleted_at < :before
    ORDER BY deleted_at
    LIMIT :batch
);

-- name: oldest_tombstone
SELECT min(updated_at) FROM records WHERE value IS NULL;

-- name: oldest_receipt
SELECT min(created_at) FROM receipts;
