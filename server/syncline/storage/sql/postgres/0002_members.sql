-- Every key holds the owner, as all others do. When a dataset changes hands, its rows change their owner.

ALTER TABLE syncline.datasets ADD COLUMN scope bigint NOT NULL DEFAULT 0; -- raised whenever somebody's standing changes

CREATE TABLE syncline.members (
    dataset bytea NOT NULL,
    owner text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL,     -- never the owner
    role text NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (dataset, identity, owner)
);

CREATE INDEX members_by_identity ON syncline.members (identity, dataset);

CREATE TABLE syncline.invitations (
    id bytea NOT NULL,
    owner text COLLATE "C" NOT NULL,
    code_hash bytea NOT NULL,
    dataset bytea NOT NULL,
    role text NOT NULL,
    uses_left bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (id, owner)
);

CREATE UNIQUE INDEX invitations_by_code ON syncline.invitations (code_hash, owner);
CREATE INDEX invitations_by_dataset ON syncline.invitations (dataset, owner);
CREATE INDEX invitations_by_expiry ON syncline.invitations (expires_at);
