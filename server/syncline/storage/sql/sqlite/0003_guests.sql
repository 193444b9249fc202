CREATE TABLE guests (
    identity TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    linked_to TEXT,                         -- the identity that it signed in as; NULL: it is a guest yet
    linked_at INTEGER,
    outcome TEXT                            -- of the link, for whoever asks again; NULL: not linked, or long ago
) STRICT, WITHOUT ROWID;

CREATE INDEX guests_by_link ON guests (linked_at) WHERE outcome IS NOT NULL;
