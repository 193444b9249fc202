-- name: epoch
SELECT value FROM meta WHERE name = 'epoch';

-- name: renew_epoch
UPDATE meta SET value = lower(hex(randomblob(8))) WHERE name = 'epoch' RETURNING value;

-- name: head_by_id
-- With the viewer's role in it.
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at,
    CASE owner
        WHEN :viewer THEN 'OWNER'
        ELSE (SELECT role FROM members WHERE members.dataset = datasets.number AND members.identity = :viewer)
    END AS role
FROM datasets
WHERE id = :id AND role IS NOT NULL;

-- name: any_head
-- Whoever asks.
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM datasets
WHERE id = :id;

-- name: head_by_name
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at,
    'OWNER' AS role
FROM datasets
WHERE owner = :viewer AND name = :name AND deleted_at IS NULL;

-- name: live_heads
SELECT * FROM (
    SELECT
        number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
        updated_by_identity, updated_by_device, pruned_through, scope, deleted_at,
        'OWNER' AS role
    FROM datasets
    WHERE owner = :viewer AND deleted_at IS NULL AND :owned AND name >= :name
    UNION ALL
    SELECT
        d.number, d.id, d.owner, d.name, d.version, d.record_count, d.size_bytes, d.conflict_policy, d.created_at, d.updated_at,
        d.updated_by_identity, d.updated_by_device, d.pruned_through, d.scope, d.deleted_at,
        m.role
    FROM members AS m CROSS JOIN datasets AS d ON d.number = m.dataset
    WHERE m.identity = :viewer AND d.deleted_at IS NULL AND :shared
)
WHERE (name, id) > (:name, :after)
ORDER BY name, id
LIMIT :first;

-- name: deleted_heads
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM datasets
WHERE
    id IN (SELECT unhex(value) FROM json_each(:ids))
    AND deleted_at IS NOT NULL
    AND (owner = :viewer OR EXISTS (SELECT 1 FROM members WHERE dataset = number AND identity = :viewer));

-- name: visible
-- Of each identity in a JSON array, the live datasets that it sees.
SELECT owner, id, 'OWNER'
FROM datasets
WHERE owner IN (SELECT value FROM json_each(:identities)) AND deleted_at IS NULL
UNION ALL
SELECT m.identity, d.id, m.role
FROM members AS m CROSS JOIN datasets AS d ON d.number = m.dataset
WHERE m.identity IN (SELECT value FROM json_each(:identities)) AND d.deleted_at IS NULL;

-- name: head_marks
SELECT id, version, scope, deleted_at IS NOT NULL
FROM datasets
WHERE id IN (SELECT unhex(value) FROM json_each(:ids));

-- name: usage
SELECT count(*), coalesce(sum(size_bytes), 0)
FROM datasets
WHERE owner = :owner AND deleted_at IS NULL;

-- name: insert_head
INSERT INTO datasets (
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, tombstones
) VALUES (
    :id, :owner, :name, :version, :record_count, :size_bytes, :conflict_policy, :created_at, :updated_at,
    :updated_by_identity, :updated_by_device, :pruned_through, :scope, :tombstones
)
RETURNING number;

-- name: update_head
UPDATE datasets
SET
    version = :version, record_count = :record_count, size_bytes = :size_bytes, conflict_policy = :conflict_policy,
    updated_at = :updated_at, updated_by_identity = :updated_by_identity, updated_by_device = :updated_by_device,
    tombstones = tombstones + :more_tombstones
WHERE number = :number;

-- name: update_sharing
UPDATE datasets SET owner = :owner, scope = :scope WHERE number = :number;

-- name: delete_head
UPDATE datasets
SET
    record_count = 0, size_bytes = 0, tombstones = 0, updated_at = :updated_at,
    updated_by_identity = :updated_by_identity, updated_by_device = :updated_by_device, scope = :scope,
    deleted_at = :deleted_at
WHERE number = :number;

-- name: delete_records
DELETE FROM records WHERE dataset = :number;

-- name: record
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = (
    SELECT number FROM datasets
    WHERE
        id = :id
        AND (
            owner = :viewer
            OR EXISTS (SELECT 1 FROM members WHERE members.dataset = number AND members.identity = :viewer)
        )
) AND key = :key;

-- name: records_of_keys
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = :number AND key IN (SELECT value FROM json_each(:keys));

-- name: live_records
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = (
    SELECT number FROM datasets
    WHERE
        id = :id
        AND (
            owner = :viewer
            OR EXISTS (SELECT 1 FROM members WHERE members.dataset = number AND members.identity = :viewer)
        )
) AND key >= :from AND key < :until AND value IS NOT NULL
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
    WHERE
        deleted_at IS NOT NULL
        AND deleted_at < :before
        -- An erasure that was cut short left them, for the next call of it to remove.
        AND NOT EXISTS (SELECT 1 FROM records WHERE records.dataset = datasets.number)
    ORDER BY deleted_at
    LIMIT :batch
);

-- name: oldest_tombstone
SELECT min(updated_at) FROM records WHERE value IS NULL;

-- name: oldest_receipt
SELECT min(created_at) FROM receipts;

-- name: members
SELECT identity, role, since FROM members WHERE dataset = :number ORDER BY identity;

-- name: put_member
INSERT INTO members (dataset, identity, role, since) VALUES (:dataset, :identity, :role, :since)
ON CONFLICT (dataset, identity) DO UPDATE SET role = excluded.role, since = excluded.since;

-- name: drop_member
DELETE FROM members WHERE dataset = :dataset AND identity = :identity;

-- name: invitations
SELECT id, code_hash, role, uses_left, created_at, expires_at
FROM invitations
WHERE dataset = :number
ORDER BY created_at, id;

-- name: dataset_of_code
SELECT d.id FROM invitations AS i INNER JOIN datasets AS d ON d.number = i.dataset WHERE i.code_hash = :code_hash;

-- name: put_invitation
INSERT INTO invitations (id, code_hash, dataset, role, uses_left, created_at, expires_at)
VALUES (:id, :code_hash, :dataset, :role, :uses_left, :created_at, :expires_at)
ON CONFLICT (id) DO UPDATE SET uses_left = excluded.uses_left;

-- name: drop_invitation
DELETE FROM invitations WHERE id = :id;

-- name: drop_invitations
DELETE FROM invitations WHERE dataset = :number;

-- name: prune_invitations
DELETE FROM invitations
WHERE id IN (SELECT id FROM invitations WHERE expires_at < :before ORDER BY expires_at LIMIT :batch);

-- name: put_guest
INSERT INTO guests (identity, created_at) VALUES (:identity, :created_at) ON CONFLICT (identity) DO NOTHING;

-- name: guest
SELECT identity, created_at, linked_to, linked_at, outcome FROM guests WHERE identity = :identity;

-- name: linked_guests
-- Of a JSON array of identities, those that have signed in.
SELECT identity FROM guests
WHERE identity IN (SELECT value FROM json_each(:identities)) AND linked_to IS NOT NULL;

-- name: link_guest
INSERT INTO guests (identity, created_at, linked_to, linked_at, outcome)
VALUES (:identity, :linked_at, :linked_to, :linked_at, :outcome)
ON CONFLICT (identity) DO UPDATE SET
    linked_to = excluded.linked_to, linked_at = excluded.linked_at, outcome = excluded.outcome;

-- name: memberships
-- Of one identity, in live datasets; with the standing there of another.
SELECT
    d.number, d.id, d.owner, d.name, d.version, d.record_count, d.size_bytes, d.conflict_policy, d.created_at, d.updated_at,
    d.updated_by_identity, d.updated_by_device, d.pruned_through, d.scope, d.deleted_at,
    m.identity, m.role, m.since,
    CASE d.owner
        WHEN :account THEN 'OWNER'
        ELSE (SELECT o.role FROM members AS o WHERE o.dataset = d.number AND o.identity = :account)
    END AS account_role
FROM members AS m CROSS JOIN datasets AS d ON d.number = m.dataset
WHERE m.identity = :guest AND d.deleted_at IS NULL;

-- name: owned_heads
SELECT
    number, id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM datasets
WHERE owner = :owner AND deleted_at IS NULL;

-- name: all_records
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM records
WHERE dataset = :number;

-- name: hand_over_head
UPDATE datasets
SET owner = :owner, name = :name, scope = :scope, updated_by_identity = :updated_by_identity
WHERE number = :number;

-- name: hand_over_records
UPDATE records SET updated_by_identity = :account WHERE dataset = :number AND updated_by_identity = :guest;

-- name: hand_over_deleted
UPDATE datasets SET owner = :account WHERE owner = :guest AND deleted_at IS NOT NULL;

-- name: hand_over_members
-- What is left of them: in deleted datasets.
INSERT INTO members (dataset, identity, role, since)
SELECT m.dataset, :account, m.role, m.since
FROM members AS m INNER JOIN datasets AS d ON d.number = m.dataset
WHERE m.identity = :guest AND d.owner <> :account
ON CONFLICT (dataset, identity) DO NOTHING;

-- name: drop_memberships
DELETE FROM members WHERE identity = :guest;

-- name: hand_over_receipts
UPDATE OR IGNORE receipts SET identity = :account WHERE identity = :guest;

-- name: drop_receipts
DELETE FROM receipts WHERE identity = :guest;

-- name: forget_outcomes
UPDATE guests SET outcome = NULL
WHERE identity IN (
    SELECT identity FROM guests WHERE outcome IS NOT NULL AND linked_at < :before ORDER BY linked_at LIMIT :batch
);

-- name: insert_audit
INSERT INTO audit (at, tenant, actor, actor_device, operator, act, dataset, subject, details)
VALUES (:at, :tenant, :actor, :actor_device, :operator, :act, :dataset, :subject, :details);

-- name: prune_audit
DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < :before ORDER BY at LIMIT :batch);

-- name: erased
SELECT 1 FROM erased_identities WHERE hash = :hash;

-- name: erasure_mark
SELECT count(*), coalesce(sum(number), 0) FROM erased_identities;

-- name: erasures
SELECT hash FROM erased_identities;

-- name: prune_erasures
DELETE FROM erased_identities
WHERE number IN (SELECT number FROM erased_identities WHERE begun_at < :before ORDER BY begun_at LIMIT :batch);
