CREATE TABLE syncline.guests (
    identity text COLLATE "C" PRIMARY KEY,
    created_at bigint NOT NULL,
    linked_to text COLLATE "C",             -- the identity that it signed in as; NULL: it is a guest yet
    linked_at bigint,
    outcome text                            -- of the link, for whoever asks again; NULL: not linked, or long ago
);

CREATE INDEX guests_by_link ON syncline.guests (linked_at) WHERE outcome IS NOT NULL;
