CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    tenant TEXT NOT NULL,                   -- '': none
    actor TEXT,                             -- the identity that did it; NULL: an operator did ...
    actor_device TEXT,
    operator TEXT,                          -- ... in this way
    act TEXT NOT NULL,
    dataset BLOB,
    subject TEXT,                           -- the identity that it was done to
    details TEXT NOT NULL                   -- JSON, without secrets and without identities
) STRICT;

CREATE INDEX audit_by_age ON audit (at);

CREATE TABLE erased_identities (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,              -- of the identity, which is nowhere else any more
    pseudonym TEXT NOT NULL,                -- what stands for it in the audit log: random, so it leads to nobody
    begun_at INTEGER NOT NULL,
    finished_at INTEGER                     -- NULL: something of it may be left
) STRICT;

CREATE INDEX erased_identities_by_age ON erased_identities (begun_at);
