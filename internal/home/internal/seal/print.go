package seal

import (
	"fmt"
	"io"
)

// Format prints the epoch's name, whatever the verb: never a key.
func (e *Epoch) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "epoch "+e.id.String()) }

// Format prints the household's name, whatever the verb: never a key.
func (o *Opener) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "opener of "+o.household.String())
}
