-- name: login
SELECT issuer, subject, tenant, identity, created_at FROM logins
WHERE issuer = :issuer AND subject = :subject AND tenant = :tenant;

-- name: add_login
INSERT INTO logins (issuer, subject, tenant, identity, created_at)
VALUES (:issuer, :subject, :tenant, :identity, :created_at)
ON CONFLICT (issuer, subject, tenant) DO NOTHING;

-- name: move_login
UPDATE logins SET identity = :identity WHERE issuer = :issuer AND subject = :subject AND tenant = :tenant;

-- name: remove_login
DELETE FROM logins WHERE issuer = :issuer AND subject = :subject AND tenant = :tenant RETURNING identity;

-- name: logins_of
SELECT issuer, subject, tenant, identity, created_at FROM logins
WHERE identity = :identity
ORDER BY created_at, issuer, subject;

-- name: has_data
SELECT
    EXISTS (SELECT 1 FROM datasets WHERE owner = :identity AND deleted_at IS NULL)
    OR EXISTS (SELECT 1 FROM members WHERE identity = :identity);

-- name: add_key
INSERT INTO api_keys (
    id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
) VALUES (
    :id, :tenant, :name, :secret_hash, :old_hash, :old_until, :scopes, :created_at, :expires_at, :revoked_at,
    :last_used_at
);

-- name: keys
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
ORDER BY created_at, id;

-- name: found_keys
SELECT id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: revoke_key
UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id
RETURNING id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at;

-- name: rotate_key
UPDATE api_keys
SET old_hash = secret_hash, old_until = :old_until, secret_hash = :secret_hash, expires_at = :expires_at
WHERE id = :id AND revoked_at IS NULL
RETURNING id, tenant, name, secret_hash, old_hash, old_until, scopes, created_at, expires_at, revoked_at, last_used_at;

-- name: use_key
UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), :at) WHERE id = :id;

-- name: erased
-- A JSON array of hashes, in hexadecimal digits.
SELECT EXISTS (SELECT 1 FROM erased_identities WHERE hash IN (SELECT unhex(value) FROM json_each(:hashes)));
