CREATE TABLE logins (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant TEXT NOT NULL,                   -- '': none
    identity TEXT NOT NULL,                 -- several logins may have the same one
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject, tenant)
) STRICT, WITHOUT ROWID;

CREATE INDEX logins_by_identity ON logins (identity);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,                   -- '': none
    name TEXT NOT NULL,                     -- for people
    secret_hash BLOB NOT NULL,
    old_hash BLOB,                          -- the secret before it was rotated ...
    old_until INTEGER,                      -- ... which counts until then
    scopes TEXT NOT NULL,                   -- by blanks
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
