-- name: login
-- $1 issuer, $2 subject, $3 tenant
SELECT issuer, subject, tenant, identity, created_at FROM syncline.logins
WHERE issuer = $1 AND subject = $2 AND tenant = $3;

-- name: claim_login
-- $1 issuer, $2 subject, $3 tenant, $4 identity, $5 now. The identity it has now, its row locked, and whether it is new.
INSERT INTO syncline.logins AS l (issuer, subject, tenant, identity, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (issuer, subject, tenant) DO UPDATE SET identity = l.identity
RETURNING identity, xmax = 0 AS new;

-- name: move_login
-- $1 issuer, $2 subject, $3 tenant, $4 identity
UPDATE syncline.logins SET identity = $4 WHERE issuer = $1 AND subject = $2 AND tenant = $3;

-- name: remove_login
-- $1 issuer, $2 subject, $3 tenant
DELETE FROM syncline.logins WHERE issuer = $1 AND subject = $2 AND tenant = $3 RETURNING identity;

-- name: logins_of
-- $1 identity
SELECT issuer, subject, tenant, identity, created_at FROM syncline.logins
WHERE identity = $1
ORDER BY created_at, issuer, subject;

-- name: has_data
-- $1 identity
SELECT
    EXISTS (SELECT FROM syncline.datasets WHERE owner = $1 AND deleted_at IS NULL)
    OR EXISTS (SELECT FROM syncline.members WHERE identity = $1);

-- name: add_key
INSERT INTO syncline.api_keys (
    id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: keys
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM syncline.api_keys
ORDER BY created_at, id;

-- name: found_keys
-- $1 ids
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM syncline.api_keys
WHERE id = ANY ($1::text[]);

-- name: revoke_key
-- $1 id, $2 now
UPDATE syncline.api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1
RETURNING id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at;

-- name: rotate_key
-- $1 id, $2 new hash, $3 old one counts until, $4 expires at
UPDATE syncline.api_keys
SET old_hash = secret_hash, old_until = $3, secret_hash = $2, expires_at = $4
WHERE id = $1 AND revoked_at IS NULL
RETURNING id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at;

-- name: use_keys
-- $1 ids, $2 times. In one order, so that nodes do not wait for each other in a circle.
UPDATE syncline.api_keys AS k
SET last_used_at = greatest(coalesce(k.last_used_at, 0), u.at)
FROM (
    SELECT given.id, given.at
    FROM unnest($1::text[], $2::bigint[]) AS given (id, at) JOIN syncline.api_keys AS held USING (id)
    ORDER BY given.id
    FOR UPDATE OF held
) AS u
WHERE k.id = u.id;

-- name: erased
-- $1 hashes
SELECT EXISTS (SELECT FROM syncline.erased_identities WHERE hash = ANY ($1::bytea[]));
