-- name: datasets
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at, tombstones
FROM syncline.datasets
ORDER BY id;

-- name: records
SELECT
    dataset, key, value, owner, version, ordinal, updated_at, updated_by_identity, updated_by_device,
    device_time, field_versions, unseen
FROM syncline.records
ORDER BY dataset, key;

-- name: receipts
SELECT identity, device, mutation_id, request_hash, dataset, version, outcomes, created_at
FROM syncline.receipts
ORDER BY identity, device, mutation_id;

-- name: members
SELECT dataset, identity, owner, role, since
FROM syncline.members
ORDER BY dataset, identity;

-- name: invitations
SELECT id, dataset, owner, code_hash, role, uses_left, created_at, expires_at
FROM syncline.invitations
ORDER BY id;

-- name: guests
SELECT identity, created_at, linked_to, linked_at, outcome
FROM syncline.guests
ORDER BY identity;

-- name: logins
SELECT issuer, subject, tenant, identity, created_at
FROM syncline.logins
ORDER BY issuer, subject, tenant;

-- name: api_keys
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM syncline.api_keys
ORDER BY id;

-- name: audit
SELECT number, at, tenant, actor, actor_device, operator, act, dataset, subject, details
FROM syncline.audit
ORDER BY number;

-- name: erased_identities
SELECT hash, number, pseudonym, begun_at, finished_at
FROM syncline.erased_identities
ORDER BY hash;

-- name: holds_data
SELECT
    EXISTS (SELECT FROM syncline.datasets) OR EXISTS (SELECT FROM syncline.records)
    OR EXISTS (SELECT FROM syncline.receipts) OR EXISTS (SELECT FROM syncline.members)
    OR EXISTS (SELECT FROM syncline.invitations) OR EXISTS (SELECT FROM syncline.guests)
    OR EXISTS (SELECT FROM syncline.logins) OR EXISTS (SELECT FROM syncline.api_keys)
    OR EXISTS (SELECT FROM syncline.audit) OR EXISTS (SELECT FROM syncline.erased_identities)
    OR EXISTS (SELECT FROM syncline.owners);

-- name: servers
-- $1: the name that servers go by
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1;

-- name: take_lock
-- Held as long as the connection. $1: the lock's number
SELECT pg_advisory_lock($1);

-- name: empty
TRUNCATE
    syncline.datasets, syncline.records, syncline.receipts, syncline.members, syncline.invitations, syncline.guests,
    syncline.logins, syncline.api_keys, syncline.audit, syncline.erased_identities,
    syncline.owners;

-- name: add_owners
-- $1: whose datasets were copied
INSERT INTO syncline.owners (owner, stamp)
SELECT DISTINCT owner, 1 FROM unnest($1::text[]) AS u (owner) ORDER BY owner
ON CONFLICT (owner) DO NOTHING;

-- name: keep_progress
-- $1: its name in meta, $2 how far the copy is
INSERT INTO syncline.meta (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: adopt_epoch
UPDATE syncline.meta SET value = $1 WHERE name = 'epoch';

-- name: adopt_numbers
-- What is numbered from now on goes on behind what was copied.
SELECT
    setval(
        pg_get_serial_sequence('syncline.audit', 'number'),
        greatest((SELECT max(number) FROM syncline.audit), 1)
    ),
    setval(
        pg_get_serial_sequence('syncline.erased_identities', 'number'),
        greatest((SELECT max(number) FROM syncline.erased_identities), 1)
    );

-- name: forget_progress
DELETE FROM syncline.meta WHERE name = $1;

-- name: analyze
ANALYZE
    syncline.datasets, syncline.records, syncline.receipts, syncline.members, syncline.invitations, syncline.guests,
    syncline.logins, syncline.api_keys, syncline.audit, syncline.erased_identities,
    syncline.owners;
