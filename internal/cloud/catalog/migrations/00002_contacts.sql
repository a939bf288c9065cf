-- Trusted contacts (docs/design/0004): who trusts whom, sealed shares, signed
-- claims.

-- +goose Up
-- One set a member. wrap is an LKW1 of kind 3. dead: a contact has gone; wrap
-- and letters are empty then.
CREATE TABLE contact_sets (
    household  BYTEA NOT NULL REFERENCES households (household),
    owner      BYTEA NOT NULL,
    set_id     BYTEA NOT NULL,
    wrap       BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    dead       BOOLEAN NOT NULL,
    PRIMARY KEY (household, owner)
);

-- A share, sealed to a contact (LKS1).
CREATE TABLE contact_letters (
    household BYTEA NOT NULL,
    owner     BYTEA NOT NULL,
    contact   BYTEA NOT NULL,
    letter    BYTEA NOT NULL,
    PRIMARY KEY (household, owner, contact),
    FOREIGN KEY (household, owner) REFERENCES contact_sets (household, owner)
);

-- claim is the hash of all that the notes name, claimed_kid that of the new
-- Ed25519 key. state: open, stopped, ended or done. No row is ever deleted: an
-- id is taken once.
CREATE TABLE claims (
    household   BYTEA NOT NULL REFERENCES households (household),
    claim       BYTEA NOT NULL,
    member      BYTEA NOT NULL,
    set_id      BYTEA NOT NULL,
    claimed_kid BYTEA NOT NULL,
    state       TEXT NOT NULL,
    first_ms    BIGINT NOT NULL,
    stopped_by  BYTEA,
    PRIMARY KEY (household, claim),
    UNIQUE (household, claimed_kid)
);

-- A contact's signed note, and later his share, sealed to the claimed key
-- (LKS1; empty before).
CREATE TABLE claim_notes (
    household   BYTEA NOT NULL,
    claim       BYTEA NOT NULL,
    contact     BYTEA NOT NULL,
    note        BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    share       BYTEA NOT NULL,
    PRIMARY KEY (household, claim, contact),
    FOREIGN KEY (household, claim) REFERENCES claims (household, claim)
);

-- +goose Down
DROP TABLE claim_notes;
DROP TABLE claims;
DROP TABLE contact_letters;
DROP TABLE contact_sets;
