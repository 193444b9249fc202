-- name: epoch
SELECT value FROM syncline.meta WHERE name = 'epoch';

-- name: meta
-- $1: its name
SELECT value FROM syncline.meta WHERE name = $1;

-- name: lock_meta
SELECT name, value FROM syncline.meta ORDER BY name FOR UPDATE;

-- name: keep_lineage
INSERT INTO syncline.meta (name, value) VALUES ('lineage', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: renew_epoch
UPDATE syncline.meta SET value = substr(replace(gen_random_uuid()::text, '-', ''), 1, 16)
WHERE name = 'epoch'
RETURNING value;

-- name: standing
-- $1 identity, $2 id or NULL, $3 name or NULL
WITH found AS (
    SELECT d.*, CASE WHEN d.owner = $1 THEN 'OWNER' ELSE m.role END AS role
    FROM syncline.datasets AS d
    LEFT JOIN syncline.members AS m ON m.dataset = d.id AND m.owner = d.owner AND m.identity = $1
    WHERE d.id = $2 AND (d.owner = $1 OR m.role IS NOT NULL)
    UNION ALL
    SELECT d.*, 'OWNER' AS role
    FROM syncline.datasets AS d
    WHERE $2::bytea IS NULL AND d.owner = $1 AND d.name = $3 AND d.deleted_at IS NULL
)
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at, role
FROM found;

-- name: lock_head
-- $1 id
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM syncline.datasets
WHERE id = $1
FOR UPDATE;

-- name: lock_heads
-- $1 ids
SELECT id FROM syncline.datasets WHERE id = ANY ($1::bytea[]) ORDER BY id FOR UPDATE;

-- name: live_heads
-- $1 identity, $2 whether its own, $3 whether those of others, $4 and $5 the name and id before, $6 at most
WITH found AS (
    SELECT d.*, 'OWNER' AS role
    FROM syncline.datasets AS d
    WHERE $2 AND d.owner = $1 AND d.name >= $4 AND d.deleted_at IS NULL
    UNION ALL
    SELECT d.*, m.role
    FROM syncline.members AS m
    INNER JOIN syncline.datasets AS d ON d.id = m.dataset AND d.owner = m.owner
    WHERE $3 AND m.identity = $1 AND d.deleted_at IS NULL
)
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at, role
FROM found
WHERE (name, id) > ($4::text COLLATE "C", $5::bytea)
ORDER BY name, id
LIMIT $6;

-- name: deleted_heads
-- $1 identity, $2 ids
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM syncline.datasets AS d
WHERE
    id = ANY ($2::bytea[])
    AND deleted_at IS NOT NULL
    AND (
        owner = $1
        OR EXISTS (
            SELECT FROM syncline.members AS m WHERE m.dataset = d.id AND m.owner = d.owner AND m.identity = $1
        )
    );

-- name: visible
-- $1 identities
SELECT owner AS identity, id, 'OWNER' AS role
FROM syncline.datasets
WHERE owner = ANY ($1::text[]) AND deleted_at IS NULL
UNION ALL
SELECT m.identity, d.id, m.role
FROM syncline.members AS m
INNER JOIN syncline.datasets AS d ON d.id = m.dataset AND d.owner = m.owner
WHERE m.identity = ANY ($1::text[]) AND d.deleted_at IS NULL;

-- name: head_marks
-- $1 ids
SELECT id, version, scope, deleted_at IS NOT NULL AS deleted FROM syncline.datasets WHERE id = ANY ($1::bytea[]);

-- name: usage
SELECT count(*) AS datasets, coalesce(sum(size_bytes), 0)::bigint AS size_bytes
FROM syncline.datasets
WHERE owner = $1 AND deleted_at IS NULL;

-- name: record
-- $1 identity, $2 dataset, $3 key
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM syncline.records AS r
WHERE
    dataset = $2
    AND key = $3
    AND (
        owner = $1
        OR EXISTS (
            SELECT FROM syncline.members AS m WHERE m.dataset = r.dataset AND m.owner = r.owner AND m.identity = $1
        )
    );

-- name: live_records
-- $1 identity, $2 dataset, $3 after or NULL, $4 from, $5 until or NULL, $6 first
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM syncline.records AS r
WHERE
    dataset = $2
    AND owner = (
        SELECT d.owner FROM syncline.datasets AS d
        LEFT JOIN syncline.members AS m ON m.dataset = d.id AND m.owner = d.owner AND m.identity = $1
        WHERE d.id = $2 AND (d.owner = $1 OR m.role IS NOT NULL)
    )
    AND key > $3 AND key >= $4 AND ($5::text IS NULL OR key < $5) AND value IS NOT NULL
ORDER BY key
LIMIT $6;

-- name: read_log
-- $1 identity, $2 id or NULL, $3 name or NULL, $4 version and $5 ordinal of the first record, $6 whether records are wanted,
-- $7 from, $8 until or NULL, $9 skipped identity, $10 and device, $11 records at most, $12 bytes, and one record more;
-- $13 whether by id whoever asks, which only the node itself may
WITH head AS (
    SELECT d.*, CASE WHEN d.owner = $1 THEN 'OWNER' ELSE m.role END AS role
    FROM syncline.datasets AS d
    LEFT JOIN syncline.members AS m ON m.dataset = d.id AND m.owner = d.owner AND m.identity = $1
    WHERE d.id = $2 AND ($13 OR d.owner = $1 OR m.role IS NOT NULL)
    UNION ALL
    SELECT d.*, 'OWNER' AS role
    FROM syncline.datasets AS d
    WHERE $2::bytea IS NULL AND d.owner = $1 AND d.name = $3 AND d.deleted_at IS NULL
)
SELECT
    (SELECT value FROM syncline.meta WHERE name = 'epoch') AS epoch,
    head.id, head.owner, head.name, head.version, head.record_count, head.size_bytes, head.conflict_policy,
    head.created_at, head.updated_at, head.updated_by_identity, head.updated_by_device, head.pruned_through,
    head.scope, head.deleted_at, head.role,
    CASE WHEN $6 AND head.deleted_at IS NULL AND head.version >= $4 THEN (
        SELECT array_agg(
            ROW(
                key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time,
                field_versions, unseen
            )
            ORDER BY version, ordinal
        )
        FROM (
            SELECT
                *,
                sum(octet_length(key) + coalesce(octet_length(value), 0)) OVER (ORDER BY version, ordinal)
                - octet_length(key) - coalesce(octet_length(value), 0) AS bytes_before,
                row_number() OVER (ORDER BY version, ordinal) AS place
            FROM syncline.records
            WHERE
                dataset = head.id
                AND records.owner = head.owner
                AND (version, ordinal) >= ($4::bigint, $5::bigint)
                AND key >= $7
                AND ($8::text IS NULL OR key < $8)
                AND (
                    $9::text IS NULL
                    OR updated_by_identity <> $9
                    OR updated_by_device IS DISTINCT FROM $10::text
                )
            ORDER BY version, ordinal
            LIMIT $11
        ) AS scanned
        WHERE bytes_before <= $12 OR place <= 2
    ) END AS records
FROM (SELECT 1) AS once
LEFT JOIN head ON TRUE;

-- name: load_syncs
-- What a group of syncs is decided on. Of each sync: $1 number, $2 identity, $3 device, $4 mutation id, $5 id or NULL,
-- $6 name or NULL, $7 and $8 the first and last of its keys in $9; version $10 and ordinal $11 of the first record that
-- its device lacks (NULL: it pulls nothing), from $12 until $13 or NULL, skipped identity $14 and device $15, and $16
-- records at most.
SELECT
    (SELECT value FROM syncline.meta WHERE name = 'epoch') AS epoch,
    u.number,
    d.id, d.owner, d.name, d.version, d.record_count, d.size_bytes, d.conflict_policy, d.created_at, d.updated_at,
    d.updated_by_identity, d.updated_by_device, d.pruned_through, d.scope, d.deleted_at,
    d.stamp,
    d.role,
    CASE WHEN d.id IS NULL THEN (
        SELECT count(*) FROM syncline.datasets AS o WHERE o.owner = u.identity AND o.deleted_at IS NULL
    ) END AS owned,
    CASE WHEN d.id IS NULL THEN (
        SELECT o.stamp FROM syncline.owners AS o WHERE o.owner = u.identity
    ) END AS owner_stamp,
    r.request_hash, r.dataset, r.version AS receipt_version, r.outcomes, r.created_at AS receipt_created_at,
    CASE WHEN u.last_key >= u.first_key THEN (
        SELECT array_agg(
            ROW(
                x.key, x.value, x.version, x.ordinal, x.updated_at, x.updated_by_identity, x.updated_by_device,
                x.device_time, x.field_versions, x.unseen
            )
        )
        FROM syncline.records AS x
        WHERE x.dataset = d.id AND x.owner = d.owner AND x.key = ANY (($9::text[])[u.first_key : u.last_key])
    ) END AS touched,
    d.id IS NULL AND EXISTS (
        SELECT FROM syncline.guests AS g WHERE g.identity = u.identity AND g.linked_to IS NOT NULL
    ) AS linked,
    d.id IS NULL AND EXISTS (
        SELECT FROM syncline.erased_identities AS e
        WHERE e.hash = sha256(convert_to(E'syncline erased identity\x1f' || u.identity, 'UTF8'))
    ) AS erased,
    CASE WHEN d.deleted_at IS NULL AND d.version >= u.since_version THEN (
        SELECT array_agg(
            ROW(
                y.key, y.value, y.version, y.ordinal, y.updated_at, y.updated_by_identity, y.updated_by_device,
                y.device_time, y.field_versions, y.unseen
            )
            ORDER BY y.version, y.ordinal
        )
        FROM (
            SELECT *
            FROM syncline.records AS x
            WHERE
                x.dataset = d.id
                AND x.owner = d.owner
                AND (x.version, x.ordinal) >= (u.since_version, u.since_ordinal)
                AND x.key >= u.from_key
                AND (u.until_key IS NULL OR x.key < u.until_key)
                AND (
                    u.skip_identity IS NULL
                    OR x.updated_by_identity <> u.skip_identity
                    OR x.updated_by_device IS DISTINCT FROM u.skip_device
                )
            ORDER BY x.version, x.ordinal
            LIMIT u.at_most
        ) AS y
    ) END AS missed
FROM unnest(
    $1::int[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::int[], $8::int[], $10::bigint[],
    $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[]
) AS u (
    number, identity, device, mutation_id, id, name, first_key, last_key, since_version, since_ordinal, from_key,
    until_key, skip_identity, skip_device, at_most
)
LEFT JOIN LATERAL (
    SELECT o.*, CASE WHEN o.owner = u.identity THEN 'OWNER' ELSE m.role END AS role
    FROM syncline.datasets AS o
    LEFT JOIN syncline.members AS m ON m.dataset = o.id AND m.owner = o.owner AND m.identity = u.identity
    WHERE o.id = u.id AND (o.owner = u.identity OR m.role IS NOT NULL)
    UNION ALL
    SELECT o.*, 'OWNER' AS role
    FROM syncline.datasets AS o
    WHERE u.id IS NULL AND o.owner = u.identity AND o.name = u.name AND o.deleted_at IS NULL
) AS d ON TRUE
LEFT JOIN syncline.receipts AS r
    ON r.identity = u.identity AND r.device = u.device AND r.mutation_id = u.mutation_id;

-- name: write_syncs
-- A group of syncs, as far as nobody changed a dataset since it was loaded: such a one is left out, with all that was
-- meant for it. Answers the ids of those that were written.
-- Heads: $1 owners, $2 ids, $3 stamps that they must have, $4 versions, $5 record counts, $6 sizes, $7 updated at,
-- $8 by identity, $9 and device, $10 more tombstones.
-- New heads: $11 owners, $12 the stamps to give these; $13 owners, $14 ids, $15 names, $16 versions, $17 record counts,
-- $18 sizes, $19 policies, $20 created at, $21 updated at, $22 by identity, $23 and device, $24 tombstones.
-- Records: $25 datasets, $26 owners, $27 … $36 as the columns are named.
-- Receipts: $37 … $44 as the columns are named.
WITH locked AS MATERIALIZED (
    SELECT d.id
    FROM syncline.datasets AS d
    INNER JOIN unnest($1::text[], $2::bytea[], $3::bigint[]) AS u (owner, id, stamp) ON d.owner = u.owner AND d.id = u.id
    WHERE d.stamp = u.stamp
    ORDER BY d.id
    FOR NO KEY UPDATE OF d
),
changed AS (
    UPDATE syncline.datasets AS d
    SET
        version = u.version, record_count = u.record_count, size_bytes = u.size_bytes, updated_at = u.updated_at,
        updated_by_identity = u.updated_by_identity, updated_by_device = u.updated_by_device,
        tombstones = d.tombstones + u.more_tombstones, stamp = d.stamp + 1
    FROM unnest(
        $1::text[], $2::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[],
        $10::bigint[]
    ) AS u (
        owner, id, version, record_count, size_bytes, updated_at, updated_by_identity, updated_by_device, more_tombstones
    )
    WHERE d.owner = u.owner AND d.id = u.id AND d.id IN (SELECT id FROM locked)
    RETURNING d.id
),
allowed AS (
    INSERT INTO syncline.owners AS o (owner, stamp)
    SELECT u.owner, u.stamp
    FROM unnest($11::text[], $12::bigint[]) AS u (owner, stamp)
    WHERE NOT EXISTS (
        SELECT FROM syncline.erased_identities AS e
        WHERE e.hash = sha256(convert_to(E'syncline erased identity\x1f' || u.owner, 'UTF8'))
    )
    ORDER BY u.owner
    ON CONFLICT (owner) DO UPDATE SET stamp = excluded.stamp WHERE o.stamp = excluded.stamp - 1
    RETURNING o.owner
),
made AS (
    INSERT INTO syncline.datasets (
        id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
        updated_by_identity, updated_by_device, pruned_through, tombstones, stamp
    )
    SELECT
        u.id, u.owner, u.name, u.version, u.record_count, u.size_bytes, u.conflict_policy, u.created_at, u.updated_at,
        u.updated_by_identity, u.updated_by_device, 0, u.tombstones, 1
    FROM unnest(
        $13::text[], $14::bytea[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::text[], $20::bigint[],
        $21::bigint[], $22::text[], $23::text[], $24::bigint[]
    ) AS u (
        owner, id, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
        updated_by_identity, updated_by_device, tombstones
    )
    WHERE u.owner IN (SELECT owner FROM allowed)
    ORDER BY u.owner, u.name
    ON CONFLICT (owner, name) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id
),
written AS (
    SELECT id FROM changed
    UNION ALL
    SELECT id FROM made
),
kept AS (
    INSERT INTO syncline.records (
        dataset, owner, key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time,
        field_versions, unseen
    )
    SELECT * FROM unnest(
        $25::bytea[], $26::text[], $27::text[], $28::text[], $29::bigint[], $30::bigint[], $31::bigint[], $32::text[],
        $33::text[], $34::bigint[], $35::text[], $36::bigint[]
    ) AS u (
        dataset, owner, key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time,
        field_versions, unseen
    )
    WHERE u.dataset IN (SELECT id FROM written)
    ON CONFLICT (dataset, key, owner) DO UPDATE SET
        value = excluded.value, version = excluded.version, ordinal = excluded.ordinal,
        updated_at = excluded.updated_at, updated_by_identity = excluded.updated_by_identity,
        updated_by_device = excluded.updated_by_device, device_time = excluded.device_time,
        field_versions = excluded.field_versions, unseen = excluded.unseen
),
remembered AS (
    INSERT INTO syncline.receipts (
        identity, device, mutation_id, request_hash, dataset, version, outcomes, created_at
    )
    SELECT * FROM unnest(
        $37::text[], $38::text[], $39::text[], $40::bytea[], $41::bytea[], $42::bigint[], $43::text[], $44::bigint[]
    ) AS u (identity, device, mutation_id, request_hash, dataset, version, outcomes, created_at)
    WHERE u.dataset IN (SELECT id FROM written)
)
SELECT id FROM written;

-- name: lock_owner
INSERT INTO syncline.owners AS o (owner, stamp) VALUES ($1, 1)
ON CONFLICT (owner) DO UPDATE SET stamp = o.stamp + 1;

-- name: insert_head
INSERT INTO syncline.datasets (
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at, tombstones, stamp
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 1);

-- name: update_policy
-- $1 id, $2 owner, $3 policy, $4 updated at, $5 by identity, $6 and device
UPDATE syncline.datasets
SET conflict_policy = $3, updated_at = $4, updated_by_identity = $5, updated_by_device = $6, stamp = stamp + 1
WHERE id = $1 AND owner = $2;

-- name: delete_head
-- $1 id, $2 owner, $3 deleted at, $4 by identity, $5 and device
UPDATE syncline.datasets
SET
    record_count = 0, size_bytes = 0, tombstones = 0, updated_at = $3, updated_by_identity = $4,
    updated_by_device = $5, deleted_at = $3, stamp = stamp + 1
WHERE id = $1 AND owner = $2;

-- name: delete_records
DELETE FROM syncline.records WHERE dataset = $1 AND owner = $2;

-- name: access
-- $1 id
SELECT d.owner, d.scope, m.identity, m.role
FROM syncline.datasets AS d
LEFT JOIN syncline.members AS m ON m.dataset = d.id AND m.owner = d.owner
WHERE d.id = $1;

-- name: members
-- $1 id, $2 owner
SELECT identity, role, since FROM syncline.members WHERE dataset = $1 AND owner = $2 ORDER BY identity;

-- name: members_seen_by
-- $1 identity, $2 id: nothing, unless it sees the dataset
SELECT d.owner, d.created_at, o.identity, o.role, o.since
FROM syncline.datasets AS d
LEFT JOIN syncline.members AS m ON m.dataset = d.id AND m.owner = d.owner AND m.identity = $1
LEFT JOIN syncline.members AS o ON o.dataset = d.id AND o.owner = d.owner
WHERE d.id = $2 AND d.deleted_at IS NULL AND (d.owner = $1 OR m.role IS NOT NULL);

-- name: invitations
-- $1 id, $2 owner
SELECT id, code_hash, role, uses_left, created_at, expires_at
FROM syncline.invitations
WHERE dataset = $1 AND owner = $2
ORDER BY created_at, id;

-- name: dataset_of_code
-- $1 code hash
SELECT dataset FROM syncline.invitations WHERE code_hash = $1;

-- name: update_sharing
-- $1 id, $2 owner, $3 owner from now on, $4 scope
UPDATE syncline.datasets SET owner = $3, scope = $4, stamp = stamp + 1 WHERE id = $1 AND owner = $2;

-- name: hand_over_records
-- $1 dataset, $2 owner, $3 owner from now on; the same for members and invitations
UPDATE syncline.records SET owner = $3 WHERE dataset = $1 AND owner = $2;

-- name: hand_over_members
UPDATE syncline.members SET owner = $3 WHERE dataset = $1 AND owner = $2;

-- name: hand_over_invitations
UPDATE syncline.invitations SET owner = $3 WHERE dataset = $1 AND owner = $2;

-- name: put_member
-- $1 dataset, $2 owner, $3 identity, $4 role, $5 since
INSERT INTO syncline.members (dataset, owner, identity, role, since) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (dataset, identity, owner) DO UPDATE SET role = excluded.role, since = excluded.since;

-- name: drop_member
-- $1 dataset, $2 owner, $3 identity
DELETE FROM syncline.members WHERE dataset = $1 AND owner = $2 AND identity = $3;

-- name: put_invitation
-- $1 dataset, $2 owner, $3 id, $4 code hash, $5 role, $6 uses left, $7 created at, $8 expires at
INSERT INTO syncline.invitations (dataset, owner, id, code_hash, role, uses_left, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id, owner) DO UPDATE SET uses_left = excluded.uses_left;

-- name: drop_invitation
-- $1 id, $2 owner
DELETE FROM syncline.invitations WHERE id = $1 AND owner = $2;

-- name: drop_invitations
-- $1 dataset, $2 owner
DELETE FROM syncline.invitations WHERE dataset = $1 AND owner = $2;

-- name: try_to_prune
-- One node at a time. $1: the lock's number
SELECT pg_try_advisory_xact_lock($1);

-- name: old_tombstones
-- $1 before, $2 at most
SELECT dataset, key FROM syncline.records WHERE value IS NULL AND updated_at < $1 ORDER BY updated_at LIMIT $2;

-- name: prune_tombstones
-- $1 datasets, $2 keys. What was written again since it was found is let be.
DELETE FROM syncline.records AS r
USING unnest($1::bytea[], $2::text[]) AS u (dataset, key)
WHERE r.dataset = u.dataset AND r.key = u.key AND r.value IS NULL
RETURNING r.dataset, r.version;

-- name: datasets_over_tombstones
-- $1 maximum, $2 at most
SELECT id, tombstones FROM syncline.datasets WHERE tombstones > 0 AND tombstones > $1 ORDER BY tombstones DESC LIMIT $2;

-- name: surplus_tombstones
-- $1 dataset, $2 at most
SELECT dataset, key FROM syncline.records
WHERE dataset = $1 AND value IS NULL
ORDER BY version, ordinal
LIMIT $2;

-- name: raise_pruned_through
-- $1 ids, $2 versions, $3 how many are gone
UPDATE syncline.datasets AS d
SET
    pruned_through = greatest(d.pruned_through, u.version), tombstones = d.tombstones - u.pruned, stamp = d.stamp + 1
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS u (id, version, pruned)
WHERE d.id = u.id;

-- name: prune_receipts
-- $1 before, $2 at most
DELETE FROM syncline.receipts
WHERE (identity, device, mutation_id) IN (
    SELECT identity, device, mutation_id FROM syncline.receipts WHERE created_at < $1 ORDER BY created_at LIMIT $2
);

-- name: prune_deleted_datasets
-- $1 before, $2 at most
WITH gone AS (
    DELETE FROM syncline.datasets
    WHERE id IN (
        SELECT id FROM syncline.datasets
        WHERE
            deleted_at IS NOT NULL
            AND deleted_at < $1
            -- An erasure that was cut short left them, for the next call of it to remove.
            AND NOT EXISTS (SELECT FROM syncline.records AS r WHERE r.dataset = datasets.id)
        ORDER BY deleted_at
        LIMIT $2
    )
    RETURNING id, owner
),
with_members AS (
    DELETE FROM syncline.members AS m USING gone WHERE m.dataset = gone.id AND m.owner = gone.owner
)
SELECT id FROM gone;

-- name: prune_invitations
-- $1 before, $2 at most
DELETE FROM syncline.invitations
WHERE id IN (SELECT id FROM syncline.invitations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2);

-- name: oldest
SELECT
    (SELECT min(updated_at) FROM syncline.records WHERE value IS NULL) AS tombstone,
    (SELECT min(created_at) FROM syncline.receipts) AS receipt;

-- name: put_guest
-- $1 identity, $2 created at
INSERT INTO syncline.guests (identity, created_at) VALUES ($1, $2) ON CONFLICT (identity) DO NOTHING;

-- name: lock_guest
-- $1 identity. Whoever writes in a guest's name has this row, and all who do may have it at once.
SELECT linked_to FROM syncline.guests WHERE identity = $1 FOR SHARE;

-- name: lock_guest_to_link
-- $1 identity
SELECT identity, created_at, linked_to, linked_at, outcome FROM syncline.guests WHERE identity = $1 FOR UPDATE;

-- name: linked_guests
-- $1 identities
SELECT identity FROM syncline.guests WHERE identity = ANY ($1::text[]) AND linked_to IS NOT NULL;

-- name: link_guest
-- $1 identity, $2 linked to, $3 linked at, $4 outcome
UPDATE syncline.guests SET linked_to = $2, linked_at = $3, outcome = $4 WHERE identity = $1;

-- name: datasets_of_link
-- $1 guest, $2 account
SELECT id FROM syncline.datasets WHERE owner = ANY (ARRAY[$1, $2]::text[]) AND deleted_at IS NULL
UNION
SELECT m.dataset FROM syncline.members AS m WHERE m.identity = $1;

-- name: owned_heads
-- $1 owner
SELECT
    id, owner, name, version, record_count, size_bytes, conflict_policy, created_at, updated_at,
    updated_by_identity, updated_by_device, pruned_through, scope, deleted_at
FROM syncline.datasets
WHERE owner = $1 AND deleted_at IS NULL;

-- name: memberships
-- $1 guest, $2 account
SELECT
    d.id, d.owner, d.name, d.version, d.record_count, d.size_bytes, d.conflict_policy, d.created_at, d.updated_at,
    d.updated_by_identity, d.updated_by_device, d.pruned_through, d.scope, d.deleted_at,
    m.identity, m.role, m.since,
    CASE WHEN d.owner = $2 THEN 'OWNER' ELSE o.role END AS account_role
FROM syncline.members AS m
INNER JOIN syncline.datasets AS d ON d.id = m.dataset AND d.owner = m.owner
LEFT JOIN syncline.members AS o ON o.dataset = m.dataset AND o.owner = m.owner AND o.identity = $2
WHERE m.identity = $1 AND d.deleted_at IS NULL;

-- name: all_records
-- $1 dataset, $2 owner
SELECT
    key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time, field_versions, unseen
FROM syncline.records
WHERE dataset = $1 AND owner = $2;

-- name: hand_over_head
-- $1 id, $2 owner, $3 owner from now on, $4 name, $5 scope, $6 by identity
UPDATE syncline.datasets
SET owner = $3, name = $4, scope = $5, updated_by_identity = $6, stamp = stamp + 1
WHERE id = $1 AND owner = $2;

-- name: hand_over_authorship
-- $1 dataset, $2 owner, $3 guest, $4 account
UPDATE syncline.records SET updated_by_identity = $4 WHERE dataset = $1 AND owner = $2 AND updated_by_identity = $3;

-- name: update_merged
-- $1 id, $2 owner, $3 version, $4 record count, $5 size, $6 updated at, $7 by identity, $8 and device, $9 tombstones gone
UPDATE syncline.datasets
SET
    version = $3, record_count = $4, size_bytes = $5, updated_at = $6, updated_by_identity = $7,
    updated_by_device = $8, tombstones = tombstones - $9, stamp = stamp + 1
WHERE id = $1 AND owner = $2;

-- name: write_record
-- $1 dataset, $2 owner, $3 … $12 as the columns are named
INSERT INTO syncline.records (
    dataset, owner, key, value, version, ordinal, updated_at, updated_by_identity, updated_by_device, device_time,
    field_versions, unseen
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (dataset, key, owner) DO UPDATE SET
    value = excluded.value, version = excluded.version, ordinal = excluded.ordinal,
    updated_at = excluded.updated_at, updated_by_identity = excluded.updated_by_identity,
    updated_by_device = excluded.updated_by_device, device_time = excluded.device_time,
    field_versions = excluded.field_versions, unseen = excluded.unseen;

-- name: hand_over_deleted
-- $1 guest, $2 account
WITH moved AS (
    UPDATE syncline.datasets SET owner = $2, stamp = stamp + 1 WHERE owner = $1 AND deleted_at IS NOT NULL RETURNING id
)
UPDATE syncline.members SET owner = $2 WHERE owner = $1 AND dataset IN (SELECT id FROM moved);

-- name: hand_over_standings
-- What is left of them: in deleted datasets. $1 guest, $2 account
INSERT INTO syncline.members (dataset, owner, identity, role, since)
SELECT dataset, owner, $2, role, since FROM syncline.members WHERE identity = $1 AND owner <> $2
ON CONFLICT (dataset, identity, owner) DO NOTHING;

-- name: drop_memberships
-- $1 identity
DELETE FROM syncline.members WHERE identity = $1;

-- name: hand_over_receipts
-- $1 guest, $2 account
UPDATE syncline.receipts AS r SET identity = $2
WHERE
    r.identity = $1
    AND NOT EXISTS (
        SELECT FROM syncline.receipts AS o
        WHERE o.identity = $2 AND o.device = r.device AND o.mutation_id = r.mutation_id
    );

-- name: drop_receipts
-- $1 identity
DELETE FROM syncline.receipts WHERE identity = $1;

-- name: forget_outcomes
-- $1 before, $2 at most
UPDATE syncline.guests SET outcome = NULL
WHERE identity IN (
    SELECT identity FROM syncline.guests WHERE outcome IS NOT NULL AND linked_at < $1 ORDER BY linked_at LIMIT $2
);

-- name: insert_audit
-- $1 … $9 as the columns are named
INSERT INTO syncline.audit (at, tenant, actor, actor_device, operator, act, dataset, subject, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: has_audit
SELECT to_regclass('syncline.audit') IS NOT NULL;

-- name: audit_of_command
-- $1 act
INSERT INTO syncline.audit (at, tenant, operator, act, details)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, '', 'cli', $1, '{}');

-- name: prune_audit
-- $1 before, $2 at most
DELETE FROM syncline.audit
WHERE (number, tenant) IN (SELECT number, tenant FROM syncline.audit WHERE at < $1 ORDER BY at LIMIT $2);

-- name: erased
-- $1 hashes
SELECT EXISTS (SELECT FROM syncline.erased_identities WHERE hash = ANY ($1::bytea[]));

-- name: erasure_mark
SELECT count(*) AS count, coalesce(sum(number), 0)::bigint AS numbers FROM syncline.erased_identities;

-- name: erasures
SELECT hash FROM syncline.erased_identities;

-- name: prune_erasures
-- $1 before, $2 at most
DELETE FROM syncline.erased_identities
WHERE hash IN (SELECT hash FROM syncline.erased_identities WHERE begun_at < $1 ORDER BY begun_at LIMIT $2);
