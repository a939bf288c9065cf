package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// The states of a ticket.
const (
	TicketOpen   = "open"
	TicketClosed = "closed"
)

// Ticket is what the server keeps of one; its words are letters.
type Ticket struct {
	N               uint64
	Household       latchkey.HouseholdID
	OpenedBy        latchkey.Kid // of the member's Ed25519 key
	Topic, State    string
	Agent           latchkey.Kid // of the Ed25519 key of staff; zero: nobody
	Opened, Updated time.Time
	Messages        uint32
}

// OpenTicket stores a new ticket and returns its number. A household has at most
// limit open ones: more are latchkey.ErrTooMany.
func (db *DB) OpenTicket(ctx context.Context, t Ticket, limit int) (n uint64, err error) {
	err = db.inTx(ctx, "open ticket", func(tx *sql.Tx) error {
		var open int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tickets WHERE household = $1 AND state = $2`, t.Household[:], TicketOpen).Scan(&open); err != nil {
			return err
		}
		if open >= limit {
			return latchkey.ErrTooMany
		}
		const q = `INSERT INTO tickets (ticket, household, opened_by, topic, state, agent, opened_ms, updated_ms, messages)
			SELECT COALESCE(MAX(ticket), 0) + 1, $1, $2, $3, $4, $5, $6, $6, 0 FROM tickets RETURNING ticket`
		return tx.QueryRowContext(ctx, q, t.Household[:], t.OpenedBy[:], t.Topic, TicketOpen, orEmpty(t.Agent), t.Opened.UnixMilli()).Scan(&n)
	})
	return n, err
}

// orEmpty is a kid as a column has it: empty for none.
func orEmpty(k latchkey.Kid) []byte {
	if k == (latchkey.Kid{}) {
		return []byte{}
	}
	return k[:]
}

const ticketColumns = `ticket, household, opened_by, topic, state, agent, opened_ms, updated_ms, messages`

type ticketRow struct {
	Ticket
	n, opened, updated, messages int64
	household, by, agent         []byte
}

func (r *ticketRow) into() []any {
	return []any{&r.n, &r.household, &r.by, &r.Topic, &r.State, &r.agent, &r.opened, &r.updated, &r.messages}
}

func (r *ticketRow) ticket() (Ticket, error) {
	t := r.Ticket
	t.N, t.Opened, t.Updated, t.Messages = uint64(r.n), time.UnixMilli(r.opened), time.UnixMilli(r.updated), uint32(r.messages)
	if err := fixed(t.Household[:], r.household); err != nil {
		return t, err
	}
	if len(r.agent) > 0 {
		if err := fixed(t.Agent[:], r.agent); err != nil {
			return t, err
		}
	}
	return t, fixed(t.OpenedBy[:], r.by)
}

// Ticket returns one, or latchkey.ErrNotFound.
func (db *DB) Ticket(ctx context.Context, n uint64) (Ticket, error) {
	var r ticketRow
	if err := db.read.QueryRowContext(ctx, `SELECT `+ticketColumns+` FROM tickets WHERE ticket = $1`, int64(n)).Scan(r.into()...); err != nil {
		return Ticket{}, fail("ticket", err)
	}
	t, err := r.ticket()
	return t, fail("ticket", err)
}

// Tickets returns a household's, the newest first.
func (db *DB) Tickets(ctx context.Context, h latchkey.HouseholdID) ([]Ticket, error) {
	return db.tickets(ctx, `WHERE household = $1 ORDER BY ticket DESC`, h[:])
}

// OpenTickets returns those of all households that are open, the oldest first.
func (db *DB) OpenTickets(ctx context.Context, limit int) ([]Ticket, error) {
	return db.tickets(ctx, `WHERE state = $1 ORDER BY ticket LIMIT $2`, TicketOpen, limit)
}

func (db *DB) tickets(ctx context.Context, where string, args ...any) ([]Ticket, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+ticketColumns+` FROM tickets `+where, args...)
	if err != nil {
		return nil, fail("tickets", err)
	}
	all, err := collect(rows, (*ticketRow).into)
	if err != nil {
		return nil, fail("tickets", err)
	}
	out := make([]Ticket, len(all))
	for i := range all {
		if out[i], err = all[i].ticket(); err != nil {
			return nil, fail("tickets", err)
		}
	}
	return out, nil
}

// AssignTicket gives an open ticket to somebody of staff; what hubs reported to
// whoever had it is forgotten. One that another has taken since is
// latchkey.ErrConflict.
func (db *DB) AssignTicket(ctx context.Context, n uint64, before, agent latchkey.Kid, at time.Time) error {
	return db.inTx(ctx, "assign ticket", func(tx *sql.Tx) error {
		const q = `UPDATE tickets SET agent = $3, updated_ms = $5 WHERE ticket = $1 AND agent = $2 AND state = $4`
		if err := one(tx.ExecContext(ctx, q, int64(n), orEmpty(before), orEmpty(agent), TicketOpen, at.UnixMilli())); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM ticket_health WHERE ticket = $1`, int64(n))
		return err
	})
}

// one is latchkey.ErrConflict unless a statement changed a row.
func one(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	rows, err := r.RowsAffected()
	if err == nil && rows == 0 {
		err = latchkey.ErrConflict
	}
	return err
}

// CloseTicket closes a ticket and forgets what hubs reported for it. Closing it
// again changes nothing.
func (db *DB) CloseTicket(ctx context.Context, n uint64, at time.Time) error {
	return db.inTx(ctx, "close ticket", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE tickets SET state = $2, updated_ms = $3 WHERE ticket = $1`, int64(n), TicketClosed, at.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM ticket_health WHERE ticket = $1`, int64(n))
		return err
	})
}

// PutMessage stores the letters of one message of an open ticket, to readers by
// the kids of their X-Wing keys. A closed one is latchkey.ErrConflict; one with
// limit messages is latchkey.ErrTooMany.
func (db *DB) PutMessage(ctx context.Context, n uint64, letters []Letter, at time.Time, limit int) error {
	return db.inTx(ctx, "put message", func(tx *sql.Tx) error {
		var messages int64
		const q = `UPDATE tickets SET messages = messages + 1, updated_ms = $3 WHERE ticket = $1 AND state = $2 RETURNING messages`
		err := tx.QueryRowContext(ctx, q, int64(n), TicketOpen, at.UnixMilli()).Scan(&messages)
		switch {
		case err == sql.ErrNoRows:
			return latchkey.ErrConflict
		case err != nil:
			return err
		case messages > int64(limit):
			return latchkey.ErrTooMany
		}
		for _, l := range letters {
			if _, err := tx.ExecContext(ctx, `INSERT INTO ticket_letters (ticket, n, kid, letter) VALUES ($1, $2, $3, $4)`, int64(n), messages, l.Kid[:], l.Body); err != nil {
				return err
			}
		}
		return nil
	})
}

// TicketLetters returns the letters of a ticket to one of these X-Wing keys, the
// oldest first.
func (db *DB) TicketLetters(ctx context.Context, n uint64, kids []latchkey.Kid) ([][]byte, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT kid, letter FROM ticket_letters WHERE ticket = $1 ORDER BY n`, int64(n))
	if err != nil {
		return nil, fail("ticket letters", err)
	}
	type row struct{ kid, letter []byte }
	all, err := collect(rows, func(r *row) []any { return []any{&r.kid, &r.letter} })
	var out [][]byte
	for _, r := range all {
		for _, k := range kids {
			if string(r.kid) == string(k[:]) {
				out = append(out, r.letter)
			}
		}
	}
	return out, fail("ticket letters", err)
}

// PutHealth stores a hub's report for a ticket in place of the one before. One
// that is closed, or another household's, is latchkey.ErrConflict.
func (db *DB) PutHealth(ctx context.Context, n uint64, h latchkey.HouseholdID, hub latchkey.Kid, letter []byte, at time.Time) error {
	return db.inTx(ctx, "put health", func(tx *sql.Tx) error {
		var there int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tickets WHERE ticket = $1 AND household = $2 AND state = $3`, int64(n), h[:], TicketOpen).Scan(&there); err != nil {
			return err
		}
		if there == 0 {
			return latchkey.ErrConflict
		}
		const q = `INSERT INTO ticket_health (ticket, hub, letter, received_ms) VALUES ($1, $2, $3, $4)
			ON CONFLICT (ticket, hub) DO UPDATE SET letter = excluded.letter, received_ms = excluded.received_ms`
		_, err := tx.ExecContext(ctx, q, int64(n), hub[:], letter, at.UnixMilli())
		return err
	})
}

// Health returns the newest reports for a ticket, one a hub.
func (db *DB) Health(ctx context.Context, n uint64) ([][]byte, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT letter FROM ticket_health WHERE ticket = $1 ORDER BY hub`, int64(n))
	if err != nil {
		return nil, fail("health", err)
	}
	out, err := collect(rows, func(b *[]byte) []any { return []any{b} })
	return out, fail("health", err)
}

// PutTicketGrant stores the capsule and mask of a grant that is for a ticket.
func (db *DB) PutTicketGrant(ctx context.Context, n uint64, h latchkey.HouseholdID, grant latchkey.GrantID, c GrantCapsule) error {
	return db.inTx(ctx, "put ticket grant", func(tx *sql.Tx) error {
		if err := putGrantCapsule(ctx, tx, h, grant, c); err != nil {
			return err
		}
		const q = `INSERT INTO ticket_grants (ticket, household, grant_id) VALUES ($1, $2, $3) ON CONFLICT (household, grant_id) DO NOTHING`
		_, err := tx.ExecContext(ctx, q, int64(n), h[:], grant[:])
		return err
	})
}

// TicketGrants returns the grants that are for a ticket.
func (db *DB) TicketGrants(ctx context.Context, n uint64) ([]latchkey.GrantID, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT grant_id FROM ticket_grants WHERE ticket = $1 ORDER BY grant_id`, int64(n))
	if err != nil {
		return nil, fail("ticket grants", err)
	}
	raw, err := collect(rows, func(b *[]byte) []any { return []any{b} })
	if err != nil {
		return nil, fail("ticket grants", err)
	}
	out := make([]latchkey.GrantID, len(raw))
	for i, b := range raw {
		if err := fixed(out[i][:], b); err != nil {
			return nil, fail("ticket grants", err)
		}
	}
	return out, nil
}
