-- Public entries are few among the leaves of a log: release notes are looked for
-- among them.

-- +goose Up
CREATE INDEX leaves_public ON leaves (log, leaf) WHERE household IS NULL;

-- +goose Down
DROP INDEX leaves_public;
