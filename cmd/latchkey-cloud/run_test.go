package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	tests := []struct {
		args []string
		code int
		want string // in stdout or stderr
	}{
		{[]string{"--help"}, exitDone, "fsck"},
		{nil, exitDone, "fsck"},
		{[]string{"serve"}, exitUsage, "missing flags: --data"},
		{[]string{"export"}, exitUsage, "unexpected argument export"},
		{[]string{"fsck", "--data", t.TempDir() + "/none"}, exitUsage, "Next: "},
		{[]string{"serve", "--data", t.TempDir(), "--listen", "nowhere:x"}, exitFailed, "listen on nowhere:x"},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		if code := run(t.Context(), tt.args, &out, &errs); code != tt.code || !strings.Contains(out.String()+errs.String(), tt.want) {
			t.Errorf("%q: exit %d, want %d with %q in\n%s%s", tt.args, code, tt.code, tt.want, &out, &errs)
		}
	}
}

// TestServeThenFsck: a server that is told to stop ends well and leaves stores
// that hold every invariant.
func TestServeThenFsck(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, &out, &errs); code != exitDone {
		t.Fatalf("serve: exit %d\n%s", code, &errs)
	}
	if code := run(t.Context(), []string{"fsck", "--data", dir, "--json"}, &out, &errs); code != exitDone || !strings.Contains(out.String(), `"problems": []`) {
		t.Errorf("fsck: exit %d\n%s%s", code, &out, &errs)
	}
}
