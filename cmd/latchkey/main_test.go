package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey.dev/latchkey/internal/home/camera/scenes"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main})
}

// TestScripts runs the command line as a person does: as processes, with their
// exit codes and streams.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Deadline:            time.Now().Add(8 * time.Minute),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("LATCHKEY_HOME", filepath.Join(env.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "freeport": freePort, "await-port": awaitPort,
			"extract-scene": extractScene, "empty": empty,
		},
	})
}

// exits runs a program and wants exactly this exit code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until repeats a command until its output matches; MATCH is the first group:
// until REGEX exec PROGRAM ARGS…
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "exec" {
		ts.Fatalf("usage: until REGEX exec PROGRAM ARGS…")
	}
	re := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := ts.Exec(args[2], args[3:]...)
		out := ts.ReadFile("stdout")
		if m := re.FindStringSubmatch(out); m != nil {
			ts.Setenv("MATCH", m[len(m)-1])
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never matched %s: %v\n%s", args[0], err, out)
		}
	}
}

// freePort sets variables to ports that nothing listens on.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		_, port, err := net.SplitHostPort(ln.Addr().String())
		ts.Check(err)
		ts.Check(ln.Close())
		ts.Setenv(name, port)
	}
}

// awaitPort waits until something listens.
func awaitPort(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing listens: %v", err)
		}
	}
}

// extractScene writes one of the demo's loops to a file.
func extractScene(ts *testscript.TestScript, neg bool, args []string) {
	loops := map[string][]byte{"porch": scenes.Porch(), "driveway": scenes.Driveway()}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), loops[args[0]], 0o600))
}

// empty wants a folder without anything in it.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	list, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(list) != 0 {
		ts.Fatalf("%s still holds %v", args[0], list)
	}
}
