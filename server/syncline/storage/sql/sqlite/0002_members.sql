ALTER TABLE datasets ADD COLUMN scope INTEGER NOT NULL DEFAULT 0;  -- raised whenever somebody's standing changes

CREATE TABLE members (
    dataset INTEGER NOT NULL REFERENCES datasets (number) ON DELETE CASCADE,
    identity TEXT NOT NULL,                 -- never the owner
    role TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (dataset, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_identity ON members (identity, dataset);

CREATE TABLE invitations (
    id BLOB NOT NULL PRIMARY KEY,
    code_hash BLOB NOT NULL UNIQUE,
    dataset INTEGER NOT NULL REFERENCES datasets (number) ON DELETE CASCADE,
    role TEXT NOT NULL,
    uses_left INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX invitations_by_dataset ON invitations (dataset, created_at, id);
CREATE INDEX invitations_by_expiry ON invitations (expires_at);
