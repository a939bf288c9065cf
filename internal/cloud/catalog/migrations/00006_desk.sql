-- The support desk (docs/design/0009).

-- +goose Up
-- Applicants wait for the staff root's signature: their own signed notes, and a
-- MAC by the secret of their invitation, which the server does not have.
CREATE TABLE applicants (
    kid         BYTEA PRIMARY KEY,
    note        BYTEA NOT NULL,
    mac         BYTEA NOT NULL,
    received_ms BIGINT NOT NULL
);

-- Staff notes, which are public: who works here, in which role, until when. kid is
-- of the Ed25519 key, x_kid of the X-Wing key; times are unix seconds.
CREATE TABLE staff (
    note_hash BYTEA PRIMARY KEY,
    kid       BYTEA NOT NULL,
    x_kid     BYTEA NOT NULL,
    staff_id  TEXT NOT NULL,
    role      TEXT NOT NULL,
    from_s    BIGINT NOT NULL,
    until_s   BIGINT NOT NULL,
    note      BYTEA NOT NULL
);
CREATE INDEX staff_by_kid ON staff (kid, until_s);

CREATE TABLE shifts (
    token_hash BYTEA PRIMARY KEY,
    kid        BYTEA NOT NULL,
    began_ms   BIGINT NOT NULL,
    seen_ms    BIGINT NOT NULL
);

-- topic is of a closed list; state is open or closed. agent is the kid of the
-- Ed25519 key of the person of staff who has it, empty: nobody.
CREATE TABLE tickets (
    ticket     BIGINT PRIMARY KEY,
    household  BYTEA NOT NULL REFERENCES households (household),
    opened_by  BYTEA NOT NULL,
    topic      TEXT NOT NULL,
    state      TEXT NOT NULL,
    agent      BYTEA NOT NULL,
    opened_ms  BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    messages   BIGINT NOT NULL
);
CREATE INDEX tickets_of ON tickets (household, ticket);

-- One message is a letter (LKS1) to each who may read it; kid is of his X-Wing key.
CREATE TABLE ticket_letters (
    ticket BIGINT NOT NULL REFERENCES tickets (ticket),
    n      BIGINT NOT NULL,
    kid    BYTEA NOT NULL,
    letter BYTEA NOT NULL,
    PRIMARY KEY (ticket, n, kid)
);

-- The newest report of each hub, sealed to the ticket's agent (LKS1).
CREATE TABLE ticket_health (
    ticket      BIGINT NOT NULL REFERENCES tickets (ticket),
    hub         BYTEA NOT NULL,
    letter      BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (ticket, hub)
);

-- LKM1, of a two-key grant: opened by the hub alone.
ALTER TABLE grant_capsules ADD COLUMN mask BYTEA;

-- Which grants are for a ticket, so that its agent finds them.
CREATE TABLE ticket_grants (
    ticket    BIGINT NOT NULL REFERENCES tickets (ticket),
    household BYTEA NOT NULL,
    grant_id  BYTEA NOT NULL,
    PRIMARY KEY (household, grant_id),
    FOREIGN KEY (household, grant_id) REFERENCES grant_capsules (household, grant_id)
);

-- What was asked of the desk, by whom, and which rules decided it. ticket 0: none.
CREATE TABLE decisions (
    n         BIGINT PRIMARY KEY,
    at_ms     BIGINT NOT NULL,
    staff_id  TEXT NOT NULL,
    kid       BYTEA NOT NULL,
    role      TEXT NOT NULL,
    action    TEXT NOT NULL,
    household BYTEA NOT NULL,
    ticket    BIGINT NOT NULL,
    allowed   BOOLEAN NOT NULL,
    rules     TEXT NOT NULL
);
CREATE INDEX decisions_at ON decisions (at_ms);

-- Staff who may do nothing until an auditor has looked; kind is of a closed list.
CREATE TABLE suspended (
    kid      BYTEA PRIMARY KEY,
    staff_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    lifted_ms BIGINT NOT NULL
);

-- Requests of authorities. kind, country and state are public (they stand in the
-- log); times are unix seconds, gag_until_s 0: not gagged. entered_by and
-- decided_by are names of staff. listing says what was handed over: ids and
-- hashes; salt keeps its commitment closed while it is gagged.
CREATE TABLE legal (
    request     BIGINT PRIMARY KEY,
    kind        TEXT NOT NULL,
    country     TEXT NOT NULL,
    household   BYTEA NOT NULL REFERENCES households (household),
    from_s      BIGINT NOT NULL,
    until_s     BIGINT NOT NULL,
    document    BYTEA NOT NULL,
    gag_until_s BIGINT NOT NULL,
    state       TEXT NOT NULL,
    entered_by  TEXT NOT NULL,
    decided_by  TEXT NOT NULL,
    entered_ms  BIGINT NOT NULL,
    listing     BYTEA NOT NULL,
    salt        BYTEA NOT NULL,
    told        BOOLEAN NOT NULL
);
