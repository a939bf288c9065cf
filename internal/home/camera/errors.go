package camera

import (
	"fmt"

	latchkey "latchkey.dev/latchkey"
)

// What ends a run. Each wraps a kind of package latchkey and reads as a
// sentence for people.
var (
	// ErrWrongPassword: the camera answered 401 or 403 to our credentials.
	ErrWrongPassword = fmt.Errorf("%w: the camera does not accept this user name and password", latchkey.ErrRefused)
	// ErrUnreachable: no connection, or it broke.
	ErrUnreachable = fmt.Errorf("%w: the camera cannot be reached", latchkey.ErrUnavailable)
	// ErrNoMedia: the camera answers, but offers nothing that can be recorded.
	ErrNoMedia = fmt.Errorf("%w: the camera offers no H.264 or H.265 video at this address", latchkey.ErrInvalid)
	// ErrTimeout: connected, but no picture for more than 10 s.
	ErrTimeout = fmt.Errorf("%w: the camera has gone silent", latchkey.ErrUnavailable)
	// ErrClockStep: the hub's clock was set back by more than 2 s (the limit
	// of protocol 2.6); a new run starts on the new time.
	ErrClockStep = fmt.Errorf("%w: the clock of this machine was set back", latchkey.ErrUnavailable)
)
