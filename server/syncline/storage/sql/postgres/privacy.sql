-- What is held about an identity, kind by kind, in the order of the columns in exporting.py.

-- name: dataset
SELECT
    id, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at, updated_by_identity,
    updated_by_device, pruned_through, tombstones, scope, deleted_at
FROM syncline.datasets
WHERE owner = :identity
ORDER BY id;

-- name: member
SELECT dataset, identity, role, since FROM syncline.members WHERE owner = :identity ORDER BY dataset, identity;

-- name: invitation
SELECT dataset, id, role, uses_left, created_at, expires_at
FROM syncline.invitations
WHERE owner = :identity
ORDER BY dataset, created_at, id;

-- name: record
SELECT
    r.dataset, r.key, r.value, r.version, r.ordinal, r.updated_at, r.updated_by_identity, r.updated_by_device,
    r.device_time, r.field_versions, r.unseen
FROM syncline.datasets AS d INNER JOIN syncline.records AS r ON r.dataset = d.id AND r.owner = d.owner
WHERE d.owner = :identity
ORDER BY r.dataset, r.key;

-- name: membership
SELECT d.id, d.name, d.owner, m.role, m.since, d.deleted_at
FROM syncline.members AS m INNER JOIN syncline.datasets AS d ON d.id = m.dataset AND d.owner = m.owner
WHERE m.identity = :identity
ORDER BY d.id;

-- name: written
-- Of what it may not see any more, no more than that it wrote there.
SELECT
    r.dataset,
    CASE WHEN m.role IS NOT NULL THEN r.key END,
    CASE WHEN m.role IS NOT NULL THEN r.value END,
    m.role IS NOT NULL AND r.value IS NULL,
    r.version, r.updated_at, r.updated_by_device, r.device_time
FROM syncline.records AS r
LEFT JOIN syncline.members AS m ON m.dataset = r.dataset AND m.owner = r.owner AND m.identity = :identity
WHERE r.updated_by_identity = :identity AND r.owner <> :identity
ORDER BY r.dataset, r.key;

-- name: changed
SELECT id, updated_at, updated_by_device
FROM syncline.datasets
WHERE updated_by_identity = :identity AND owner <> :identity
ORDER BY id;

-- name: receipt
SELECT dataset, device, mutation_id, request_hash, version, outcomes, created_at
FROM syncline.receipts
WHERE identity = :identity
ORDER BY device, mutation_id;

-- name: guest
-- It is one, or was one before it signed in.
SELECT identity, created_at, linked_to, linked_at, outcome
FROM syncline.guests
WHERE identity = :identity OR linked_to = :identity
ORDER BY identity;

-- name: login
SELECT issuer, subject, created_at FROM syncline.logins WHERE identity = :identity ORDER BY issuer, subject;

-- name: apiKey
-- One that acts for nobody else is an identity itself.
SELECT id, name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM syncline.api_keys
WHERE 'key:' || id = :shown AND tenant = :tenant;

-- name: audited
SELECT
    number, at, actor, CASE WHEN actor = :identity THEN actor_device END, operator, act, dataset, subject, details
FROM syncline.audit
WHERE actor = :identity OR subject = :identity
ORDER BY number;

-- The audit log.

-- name: audit
SELECT number, at, tenant, actor, actor_device, operator, act, dataset, subject, details
FROM syncline.audit
WHERE
    at >= :since
    AND (:any_identity::boolean OR actor = :identity OR subject = :identity)
    AND (:any_dataset::boolean OR dataset = :dataset)
ORDER BY number;

-- name: insert_audit
INSERT INTO syncline.audit (at, tenant, actor, actor_device, operator, act, dataset, subject, details)
VALUES (:at, :tenant, :actor, :actor_device, :operator, :act, :dataset, :subject, :details);

-- Erasing. ``erased`` stands for whoever was erased.

-- name: lock_datasets
-- In the order in which all others lock them.
SELECT id FROM syncline.datasets
WHERE owner = :identity OR id IN (SELECT dataset FROM syncline.members WHERE identity = :identity)
ORDER BY id
FOR UPDATE;

-- name: raise_owner
-- A dataset that a sync is just making for it is not made.
UPDATE syncline.owners SET stamp = stamp + 1 WHERE owner = :identity;

-- name: forget_owner
DELETE FROM syncline.owners WHERE owner = :identity;

-- name: begin_erasure
INSERT INTO syncline.erased_identities (hash, pseudonym, begun_at) VALUES (:hash, :pseudonym, :now)
ON CONFLICT (hash) DO UPDATE SET begun_at = excluded.begun_at, finished_at = NULL
RETURNING pseudonym;

-- name: guests_linked_to
SELECT identity FROM syncline.guests WHERE linked_to = :identity ORDER BY identity;

-- name: forget_guest
DELETE FROM syncline.guests WHERE identity = :identity;

-- name: logins_of
SELECT issuer, subject FROM syncline.logins WHERE identity = :identity;

-- name: erase_logins
DELETE FROM syncline.logins WHERE identity = :identity;

-- name: erase_api_key
DELETE FROM syncline.api_keys WHERE 'key:' || id = :shown AND tenant = :tenant;

-- name: drop_own_invitations
DELETE FROM syncline.invitations WHERE owner = :identity;

-- name: end_memberships
UPDATE syncline.datasets AS d SET scope = d.scope + 1, stamp = d.stamp + 1
FROM syncline.members AS m
WHERE m.identity = :identity AND d.id = m.dataset AND d.owner = m.owner;

-- name: drop_memberships
DELETE FROM syncline.members WHERE identity = :identity;

-- name: erase_datasets
WITH members AS (
    UPDATE syncline.members SET owner = :erased WHERE owner = :identity
)
UPDATE syncline.datasets
SET
    owner = :erased, name = :erased_name, record_count = 0, size_bytes = 0, tombstones = 0,
    updated_at = CASE WHEN deleted_at IS NULL THEN :now ELSE updated_at END,
    updated_by_identity = :erased, updated_by_device = NULL,
    scope = scope + (deleted_at IS NULL)::int, deleted_at = coalesce(deleted_at, :now), stamp = stamp + 1
WHERE owner = :identity;

-- name: erase_own_records
DELETE FROM syncline.records AS r
USING (
    SELECT x.dataset, x.key, x.owner
    FROM syncline.datasets AS d INNER JOIN syncline.records AS x ON x.dataset = d.id
    WHERE d.owner = :erased
    LIMIT :batch
) AS u
WHERE r.dataset = u.dataset AND r.key = u.key AND r.owner = u.owner;

-- name: erase_receipts
DELETE FROM syncline.receipts
WHERE identity = :identity AND (device, mutation_id) IN (
    SELECT device, mutation_id FROM syncline.receipts WHERE identity = :identity LIMIT :batch
);

-- name: authored
SELECT dataset, key FROM syncline.records WHERE updated_by_identity = :identity;

-- name: erase_author
UPDATE syncline.records
SET updated_by_identity = :erased, updated_by_device = NULL
WHERE dataset = :dataset AND key = :key AND updated_by_identity = :identity;

-- name: erase_head_authors
UPDATE syncline.datasets SET updated_by_identity = :erased, updated_by_device = NULL
WHERE updated_by_identity = :identity;

-- name: erase_audit
UPDATE syncline.audit
SET
    actor = CASE actor WHEN :identity THEN :pseudonym ELSE actor END,
    actor_device = CASE actor WHEN :identity THEN NULL ELSE actor_device END,
    subject = CASE subject WHEN :identity THEN :pseudonym ELSE subject END,
    details = '{}'
WHERE (number, tenant) IN (
    SELECT number, tenant FROM syncline.audit WHERE actor = :identity OR subject = :identity LIMIT :batch
);

-- name: finish_erasure
UPDATE syncline.erased_identities SET finished_at = :now WHERE pseudonym = :pseudonym;
