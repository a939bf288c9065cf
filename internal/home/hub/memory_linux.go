package hub

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func guardMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hub: guard memory: no dumps: %w", err)
	}
	// For whatever this process starts: the attribute above ends at exec.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("hub: guard memory: core size: %w", err)
	}
	return nil
}
