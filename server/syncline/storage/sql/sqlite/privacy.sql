-- What is held about an identity, kind by kind, in the order of the columns in exporting.py.

-- name: dataset
SELECT
    id, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at, updated_by_identity,
    updated_by_device, pruned_through, tombstones, scope, deleted_at
FROM datasets
WHERE owner = :identity
ORDER BY id;

-- name: member
SELECT d.id, m.identity, m.role, m.since
FROM datasets AS d CROSS JOIN members AS m ON m.dataset = d.number
WHERE d.owner = :identity
ORDER BY d.id, m.identity;

-- name: invitation
SELECT d.id, i.id, i.role, i.uses_left, i.created_at, i.expires_at
FROM datasets AS d CROSS JOIN invitations AS i ON i.dataset = d.number
WHERE d.owner = :identity
ORDER BY d.id, i.created_at, i.id;

-- name: record
SELECT
    d.id, r.key, r.value, r.version, r.ordinal, r.updated_at, r.updated_by_identity, r.updated_by_device, r.device_time,
    r.field_versions, r.unseen
FROM datasets AS d CROSS JOIN records AS r ON r.dataset = d.number
WHERE d.owner = :identity
ORDER BY d.id, r.key;

-- name: membership
SELECT d.id, d.name, d.owner, m.role, m.since, d.deleted_at
FROM members AS m CROSS JOIN datasets AS d ON d.number = m.dataset
WHERE m.identity = :identity
ORDER BY d.id;

-- name: written
-- Of what it may not see any more, no more than that it wrote there.
SELECT
    d.id,
    CASE WHEN m.role IS NOT NULL THEN r.key END,
    CASE WHEN m.role IS NOT NULL THEN r.value END,
    m.role IS NOT NULL AND r.value IS NULL,
    r.version, r.updated_at, r.updated_by_device, r.device_time
FROM records AS r
CROSS JOIN datasets AS d ON d.number = r.dataset
LEFT JOIN members AS m ON m.dataset = d.number AND m.identity = :identity
WHERE r.updated_by_identity = :identity AND d.owner <> :identity;

-- name: changed
SELECT id, updated_at, updated_by_device FROM datasets WHERE updated_by_identity = :identity AND owner <> :identity
ORDER BY id;

-- name: receipt
SELECT dataset, device, mutation_id, request_hash, version, outcomes, created_at
FROM receipts
WHERE identity = :identity
ORDER BY device, mutation_id;

-- name: guest
-- It is one, or was one before it signed in.
SELECT identity, created_at, linked_to, linked_at, outcome
FROM guests
WHERE identity = :identity OR linked_to = :identity
ORDER BY identity;

-- name: login
SELECT issuer, subject, created_at FROM logins WHERE identity = :identity ORDER BY issuer, subject;

-- name: apiKey
-- One that acts for nobody else is an identity itself.
SELECT id, name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE 'key:' || id = :shown AND tenant = :tenant;

-- name: audited
SELECT
    number, at, actor, CASE WHEN actor = :identity THEN actor_device END, operator, act, dataset, subject, details
FROM audit
WHERE actor = :identity OR subject = :identity
ORDER BY number;

-- The audit log.

-- name: audit
SELECT number, at, tenant, actor, actor_device, operator, act, dataset, subject, details
FROM audit
WHERE
    at >= :since
    AND (:any_identity OR actor = :identity OR subject = :identity)
    AND (:any_dataset OR dataset = :dataset)
ORDER BY number;

-- name: insert_audit
INSERT INTO audit (at, tenant, actor, actor_device, operator, act, dataset, subject, details)
VALUES (:at, :tenant, :actor, :actor_device, :operator, :act, :dataset, :subject, :details);

-- Erasing. ``erased`` stands for whoever was erased.

-- name: begin_erasure
INSERT INTO erased_identities (hash, pseudonym, begun_at) VALUES (:hash, :pseudonym, :now)
ON CONFLICT (hash) DO UPDATE SET begun_at = excluded.begun_at, finished_at = NULL
RETURNING pseudonym;

-- name: guests_linked_to
SELECT identity FROM guests WHERE linked_to = :identity ORDER BY identity;

-- name: forget_guest
DELETE FROM guests WHERE identity = :identity;

-- name: logins_of
SELECT issuer, subject FROM logins WHERE identity = :identity;

-- name: erase_logins
DELETE FROM logins WHERE identity = :identity;

-- name: erase_api_key
DELETE FROM api_keys WHERE 'key:' || id = :shown AND tenant = :tenant;

-- name: drop_own_invitations
DELETE FROM invitations WHERE dataset IN (SELECT number FROM datasets WHERE owner = :identity);

-- name: end_memberships
UPDATE datasets SET scope = scope + 1 WHERE number IN (SELECT dataset FROM members WHERE identity = :identity);

-- name: drop_memberships
DELETE FROM members WHERE identity = :identity;

-- name: erase_datasets
UPDATE datasets
SET
    owner = :erased, name = :erased_name, record_count = 0, size_bytes = 0, tombstones = 0,
    updated_at = CASE WHEN deleted_at IS NULL THEN :now ELSE updated_at END,
    updated_by_identity = :erased, updated_by_device = NULL,
    scope = scope + (deleted_at IS NULL), deleted_at = coalesce(deleted_at, :now)
WHERE owner = :identity;

-- name: erase_own_records
DELETE FROM records
WHERE (dataset, key) IN (
    SELECT r.dataset, r.key
    FROM datasets AS d CROSS JOIN records AS r ON r.dataset = d.number
    WHERE d.owner = :erased
    LIMIT :batch
);

-- name: erase_receipts
DELETE FROM receipts
WHERE (identity, device, mutation_id) IN (
    SELECT identity, device, mutation_id FROM receipts WHERE identity = :identity LIMIT :batch
);

-- name: authored
SELECT dataset, key FROM records WHERE updated_by_identity = :identity;

-- name: erase_author
UPDATE records
SET updated_by_identity = :erased, updated_by_device = NULL
WHERE dataset = :dataset AND key = :key AND updated_by_identity = :identity;

-- name: erase_head_authors
UPDATE datasets SET updated_by_identity = :erased, updated_by_device = NULL WHERE updated_by_identity = :identity;

-- name: erase_audit
UPDATE audit
SET
    actor = CASE actor WHEN :identity THEN :pseudonym ELSE actor END,
    actor_device = CASE actor WHEN :identity THEN NULL ELSE actor_device END,
    subject = CASE subject WHEN :identity THEN :pseudonym ELSE subject END,
    details = '{}'
WHERE number IN (SELECT number FROM audit WHERE actor = :identity OR subject = :identity LIMIT :batch);

-- name: finish_erasure
UPDATE erased_identities SET finished_at = :now WHERE pseudonym = :pseudonym;
