package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// bootSecond is how long a hub that has just started refuses commands: it
// cannot tell one of its first second from a replay of an earlier run's.
const bootSecond = 1100 * time.Millisecond

// send has one hub carry out a command. A refusal is asked again once, with a
// fresh time, because the hub may only just have started.
func (c *Client) send(ctx context.Context, state chain.State, hub latchkey.Kid, op string, args any) error {
	if err := c.awaitCovered(ctx, state.Hubs[hub].Seq, "this hub", coverPatience); err != nil {
		return err
	}
	err := c.sendOnce(ctx, state, hub, op, args)
	if !errors.Is(err, errHubRefused) {
		return err
	}
	if err := pause(ctx, bootSecond); err != nil {
		return err
	}
	return c.sendOnce(ctx, state, hub, op, args)
}

// errHubRefused is the hub's own no, as opposed to the cloud's.
var errHubRefused = fmt.Errorf("%w: the hub does not accept it from this member", latchkey.ErrRefused)

// sendOnce seals a signed command to one hub and waits for its answer. The
// server learns which hub and how long; what is asked it cannot read.
func (c *Client) sendOnce(ctx context.Context, state chain.State, hub latchkey.Kid, op string, args any) error {
	sealed, err := c.sealCommand(state, hub, op, args)
	if err != nil {
		return fmt.Errorf("member: command %s: %w", op, err)
	}
	res, err := call(ctx, c, "command "+op, c.api.hubs.SendCommand, &latchkeyv1.SendCommandRequest{Hub: hub[:], Sealed: sealed})
	if err != nil {
		return err
	}
	switch res.Result {
	case latchkeyv1.CommandResult_COMMAND_RESULT_DONE:
		return nil
	case latchkeyv1.CommandResult_COMMAND_RESULT_REFUSED:
		return fmt.Errorf("member: command %s: %w", op, errHubRefused)
	}
	return fmt.Errorf("member: command %s: the hub could not carry it out; its state says why", op)
}

// sealCommand makes the note, signs it and seals it to the hub's key in the chain.
func (c *Client) sealCommand(state chain.State, hub latchkey.Kid, op string, args any) ([]byte, error) {
	doc, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	to, ok := state.Hubs[hub]
	if !ok {
		return nil, fmt.Errorf("hub %v: %w", hub, latchkey.ErrNotFound)
	}
	command := chain.Command{
		Household: state.Household, Hub: hub, By: c.kid(), Time: time.Now().Unix(), Nonce: newSalt(), Op: op, Args: doc,
	}
	text, err := command.Text()
	if err != nil {
		return nil, err
	}
	return keys.SealCommand(state.Household, to.X, chain.SignNote(text, c.vault.Signing))
}
