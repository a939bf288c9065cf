package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"latchkey.dev/latchkey"
)

func TestSentence(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("member: no camera is called %q: %w", "porch", latchkey.ErrNotFound), `no camera is called "porch"`},
		{fmt.Errorf("member: export: %w", fmt.Errorf("pack: export: %w: no picture in this range", latchkey.ErrNotFound)), "export: no picture in this range"},
		{fmt.Errorf("seal: open run: %w: part 7", latchkey.ErrVerify), "open run: verification failed: part 7"},
		{fmt.Errorf("insider: scan: %w", context.Canceled), "interrupted"},
		{errors.Join(errors.New("hub: one"), errors.New("spool: two")), "one\ntwo"},
		{fmt.Errorf("member: %w", latchkey.ErrNotFound), "member: not found"},
	} {
		if got := sentence(c.err); got != c.want {
			t.Errorf("%v: said %q, want %q", c.err, got, c.want)
		}
	}
}
