-- The public log (docs/design/0005): what waits for it, and what stands in it.
-- An entry is the hash of a statement under a tag, or a public note.

-- +goose Up
-- In the transaction of its statement an entry comes in here; the writer of the
-- log takes them out in the order of n. household and seq are NULL in public ones.
CREATE TABLE outbox (
    n         BIGINT PRIMARY KEY,
    household BYTEA REFERENCES households (household),
    seq       BIGINT,
    entry     BYTEA NOT NULL
);

CREATE TABLE leaves (
    log       TEXT NOT NULL,
    leaf      BIGINT NOT NULL,
    household BYTEA REFERENCES households (household),
    seq       BIGINT,
    entry     BYTEA NOT NULL,
    PRIMARY KEY (log, leaf),
    UNIQUE (household, seq)
);

-- One row while entries from first_n on are on their way into a log that had
-- size entries before.
CREATE TABLE log_batch (
    log     TEXT PRIMARY KEY,
    first_n BIGINT NOT NULL,
    size    BIGINT NOT NULL
);

-- Set notes, with the lines of auditors that came since.
CREATE TABLE log_sets (
    log  TEXT NOT NULL,
    size BIGINT NOT NULL,
    note BYTEA NOT NULL,
    PRIMARY KEY (log, size)
);
