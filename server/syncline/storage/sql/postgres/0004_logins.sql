-- Small tables, which are no owner's: distributed, they would be reference tables.

CREATE TABLE syncline.logins (
    issuer text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,       -- '': none
    identity text COLLATE "C" NOT NULL,     -- several logins may have the same one
    created_at bigint NOT NULL,
    PRIMARY KEY (issuer, subject, tenant)
);

CREATE INDEX logins_by_identity ON syncline.logins (identity);

CREATE TABLE syncline.api_keys (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,       -- '': none
    name text NOT NULL,                     -- for people
    secret_hash bytea NOT NULL,
    old_hash bytea,                         -- the secret before it was rotated ...
    old_until bigint,                       -- ... which counts until then
    scopes text NOT NULL,                   -- by blanks
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint,
    last_used_at bigint
) WITH (fillfactor = 60);
