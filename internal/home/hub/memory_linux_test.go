package hub

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestGuardMemory: after it the kernel writes no core of this process.
func TestGuardMemory(t *testing.T) {
	if err := GuardMemory(); err != nil {
		t.Fatal(err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable %d, %v", dumpable, err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("core size %+v, %v", limit, err)
	}
}
