package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestNoCoreDumps: the program that holds keys leaves no core behind
// (protocol 2.6, claim C3), whichever of its commands runs.
func TestNoCoreDumps(t *testing.T) {
	if coreLimit(t, os.Getpid()) == noCore {
		t.Skip("core dumps are off here already: nothing could be seen")
	}
	cmd := exec.CommandContext(t.Context(), "latchkey", "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	}()
	for deadline := time.Now().Add(20 * time.Second); coreLimit(t, cmd.Process.Pid) != noCore; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("core file size is limited to %s", coreLimit(t, cmd.Process.Pid))
		}
	}
}

const noCore = "0 0 bytes"

// coreLimit is the soft and the hard limit of a process.
func coreLimit(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	t.Fatal("no core file size among the limits")
	return ""
}
