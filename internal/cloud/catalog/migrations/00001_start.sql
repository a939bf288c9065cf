-- The whole of what the server remembers. Every column is something that
-- protocol 2.15 says an operator sees; schema_test.go holds the list.
-- Times ending in _ms are Unix milliseconds, in _s Unix seconds.

-- +goose Up
CREATE TABLE server (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- log_tag_key names the household's leaves in the public log (protocol 2.11). It
-- opens nothing.
CREATE TABLE households (
    household   BYTEA PRIMARY KEY,
    created_ms  BIGINT NOT NULL,
    log_tag_key BYTEA NOT NULL
);

-- The signed chain, as received.
CREATE TABLE statements (
    household   BYTEA NOT NULL REFERENCES households (household),
    seq         BIGINT NOT NULL,
    note        BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (household, seq)
);

-- LKV1 and LKW1 objects of protocol 2.10; kid is the member's Ed25519 kid. A
-- rekey changes it, and what hangs on it follows. user_handle is WebAuthn's:
-- 32 random bytes, drawn with the first passkey.
CREATE TABLE vaults (
    household   BYTEA NOT NULL REFERENCES households (household),
    kid         BYTEA NOT NULL,
    version     BIGINT NOT NULL,
    vault       BYTEA NOT NULL,
    recovery_id BYTEA NOT NULL UNIQUE,
    user_handle BYTEA UNIQUE,
    PRIMARY KEY (household, kid)
);

CREATE TABLE wraps (
    household BYTEA NOT NULL,
    kid       BYTEA NOT NULL,
    n         BIGINT NOT NULL,
    wrap      BYTEA NOT NULL,
    PRIMARY KEY (household, kid, n),
    FOREIGN KEY (household, kid) REFERENCES vaults (household, kid) ON UPDATE CASCADE
);

-- Public halves of passkeys; label is sealed to the owner. synced is the flag
-- "backup eligible", which a credential never changes. Each has one wrap.
CREATE TABLE passkeys (
    credential BYTEA PRIMARY KEY,
    household  BYTEA NOT NULL,
    kid        BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    sign_count BIGINT NOT NULL,
    synced     BOOLEAN NOT NULL,
    label      BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL,
    FOREIGN KEY (household, kid) REFERENCES vaults (household, kid) ON UPDATE CASCADE
);
CREATE INDEX passkeys_by_kid ON passkeys (household, kid);

-- What a member signs in from. secret_hash is SHA-256; label is sealed to the
-- owner. An ended device (ended_ms above 0) keeps its row without the label for
-- a while, so that the client can be told. browser: it has used a cookie.
CREATE TABLE devices (
    household   BYTEA NOT NULL REFERENCES households (household),
    kid         BYTEA NOT NULL,
    device      BYTEA NOT NULL,
    label       BYTEA NOT NULL,
    secret_hash BYTEA NOT NULL,
    enrolled_by TEXT NOT NULL,
    browser     BOOLEAN NOT NULL,
    created_ms  BIGINT NOT NULL,
    seen_ms     BIGINT NOT NULL,
    ended_ms    BIGINT NOT NULL,
    PRIMARY KEY (household, kid, device)
);

-- Members who have joined and have no device yet: the first one comes by their
-- own key.
CREATE TABLE newcomers (
    household BYTEA NOT NULL REFERENCES households (household),
    kid       BYTEA NOT NULL,
    PRIMARY KEY (household, kid)
);

-- token_hash is SHA-256 of the token: a copy of this table signs nobody in.
-- device: of a member; hubs have none.
CREATE TABLE sessions (
    token_hash BYTEA PRIMARY KEY,
    household  BYTEA NOT NULL REFERENCES households (household),
    kid        BYTEA NOT NULL,
    kind       TEXT NOT NULL,
    device     BYTEA,
    seen_ms    BIGINT NOT NULL
);
CREATE INDEX sessions_by_kid ON sessions (household, kid);

-- When a hub was last connected, and when a second machine last tried to
-- connect under its identity (0: never).
CREATE TABLE presence (
    household  BYTEA NOT NULL REFERENCES households (household),
    hub        BYTEA NOT NULL,
    seen_ms    BIGINT NOT NULL,
    doubled_ms BIGINT NOT NULL,
    PRIMARY KEY (household, hub)
);

-- Capsules of grants between members (LKC1); the statement has their hash.
CREATE TABLE grant_capsules (
    household BYTEA NOT NULL REFERENCES households (household),
    grant_id  BYTEA NOT NULL,
    capsule   BYTEA NOT NULL,
    PRIMARY KEY (household, grant_id)
);

-- The names of a household: one letter (LKS1) sealed to each member; n is the
-- counter inside.
CREATE TABLE directories (
    household BYTEA PRIMARY KEY REFERENCES households (household),
    n         BIGINT NOT NULL
);

CREATE TABLE letters (
    household BYTEA NOT NULL REFERENCES directories (household),
    kid       BYTEA NOT NULL,
    letter    BYTEA NOT NULL,
    PRIMARY KEY (household, kid)
);

-- until_s: the end of the newest stored slot (wall time), never before start_s.
CREATE TABLE epochs (
    epoch       BYTEA PRIMARY KEY,
    household   BYTEA NOT NULL REFERENCES households (household),
    hub         BYTEA NOT NULL,
    n           BIGINT NOT NULL,
    start_s     BIGINT NOT NULL,
    until_s     BIGINT NOT NULL,
    note        BYTEA NOT NULL,
    heads       BYTEA,
    heads_n     BIGINT NOT NULL,
    received_ms BIGINT NOT NULL
);
CREATE INDEX epochs_by_time ON epochs (household, start_s);
CREATE INDEX epochs_by_count ON epochs (household, hub, n);

-- Seal lines and capsules; kid is the recipient's X-Wing kid.
CREATE TABLE capsules (
    epoch   BYTEA NOT NULL REFERENCES epochs (epoch),
    kid     BYTEA NOT NULL,
    hash    BYTEA NOT NULL,
    capsule BYTEA NOT NULL,
    PRIMARY KEY (epoch, kid)
);

-- One row per closed reel; no row per part. start_s and n are the epoch's,
-- repeated for the order of a track across epochs. parts is the compact index.
CREATE TABLE reels (
    epoch      BYTEA NOT NULL REFERENCES epochs (epoch),
    track      BYTEA NOT NULL,
    first_seq  BIGINT NOT NULL,
    last_seq   BIGINT NOT NULL,
    first_slot BIGINT NOT NULL,
    last_slot  BIGINT NOT NULL,
    household  BYTEA NOT NULL REFERENCES households (household),
    start_s    BIGINT NOT NULL,
    n          BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    digest     BYTEA NOT NULL,
    first_prev BYTEA NOT NULL,
    last_hash  BYTEA NOT NULL,
    parts      BYTEA NOT NULL,
    PRIMARY KEY (epoch, track, first_seq)
);
CREATE INDEX reels_by_order ON reels (household, track, start_s, n, first_seq, first_slot, last_slot);

-- +goose Down
DROP TABLE reels;
DROP TABLE capsules;
DROP TABLE epochs;
DROP TABLE letters;
DROP TABLE directories;
DROP TABLE grant_capsules;
DROP TABLE presence;
DROP TABLE sessions;
DROP TABLE newcomers;
DROP TABLE devices;
DROP TABLE passkeys;
DROP TABLE wraps;
DROP TABLE vaults;
DROP TABLE statements;
DROP TABLE households;
DROP TABLE server;
