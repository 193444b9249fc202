-- What is copied, in the order of each table's key, from behind a given key on. The columns are those of
-- copied_tables.py; PostgreSQL has the same.

-- name: datasets
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at, tombstones
FROM datasets
WHERE id > ?1
ORDER BY id;

-- name: records
SELECT
    d.id, r.key, r.value, d.owner, r.version, r.ordinal, r.updated_at, r.updated_by_identity, r.updated_by_device,
    r.device_time, r.field_versions, r.unseen
FROM datasets AS d CROSS JOIN records AS r ON r.dataset = d.number
WHERE d.id >= ?1 AND (d.id > ?1 OR r.key > ?2)
ORDER BY d.id, r.key;

-- name: receipts
SELECT identity, device, mutation_id, request_hash, dataset, version, outcomes, created_at
FROM receipts
WHERE (identity, device, mutation_id) > (?1, ?2, ?3)
ORDER BY identity, device, mutation_id;

-- name: members
SELECT d.id, m.identity, d.owner, m.role, m.since
FROM datasets AS d CROSS JOIN members AS m ON m.dataset = d.number
WHERE d.id >= ?1 AND (d.id > ?1 OR m.identity > ?2)
ORDER BY d.id, m.identity;

-- name: invitations
SELECT i.id, d.id, d.owner, i.code_hash, i.role, i.uses_left, i.created_at, i.expires_at
FROM invitations AS i CROSS JOIN datasets AS d ON d.number = i.dataset
WHERE i.id > ?1
ORDER BY i.id;

-- name: guests
SELECT identity, created_at, linked_to, linked_at, outcome
FROM guests
WHERE identity > ?1
ORDER BY identity;

-- name: logins
SELECT issuer, subject, tenant, identity, created_at
FROM logins
WHERE (issuer, subject, tenant) > (?1, ?2, ?3)
ORDER BY issuer, subject, tenant;

-- name: api_keys
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE id > ?1
ORDER BY id;

-- name: audit
SELECT number, at, tenant, actor, actor_device, operator, act, dataset, subject, details
FROM audit
WHERE number > ?1
ORDER BY number;

-- name: erased_identities
SELECT hash, number, pseudonym, begun_at, finished_at
FROM erased_identities
WHERE hash > ?1
ORDER BY hash;

-- name: counts
SELECT
    (SELECT count(*) FROM datasets), (SELECT count(*) FROM records), (SELECT count(*) FROM receipts),
    (SELECT count(*) FROM members), (SELECT count(*) FROM invitations), (SELECT count(*) FROM guests),
    (SELECT count(*) FROM logins), (SELECT count(*) FROM api_keys),
    (SELECT count(*) FROM audit), (SELECT count(*) FROM erased_identities);

-- name: newest_receipt
SELECT max(created_at) FROM receipts;
