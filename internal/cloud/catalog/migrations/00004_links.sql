-- Grants with proofs, and links (docs/design/0006).

-- +goose Up
-- NULL: put by a version that did not ask for a proof.
ALTER TABLE grant_capsules ADD COLUMN proof BYTEA;

-- What the holder of a link fetches besides the capsule of its grant. kid is of
-- the link's key: whoever shows it is answered.
CREATE TABLE links (
    kid          BYTEA PRIMARY KEY,
    household    BYTEA NOT NULL,
    grant_id     BYTEA NOT NULL,
    mac          BYTEA NOT NULL,
    words        BYTEA NOT NULL,
    views        BIGINT NOT NULL DEFAULT 0,
    last_view_ms BIGINT NOT NULL DEFAULT 0,
    UNIQUE (household, grant_id),
    FOREIGN KEY (household, grant_id) REFERENCES grant_capsules (household, grant_id)
);
