package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// cli runs the command line as one of the circle, in this process.
func (c *circle) cli(who string, in io.Reader, out io.Writer, args ...string) int {
	return run(c.t.Context(), args, stdio{in: in, out: out, err: c.t.Output(), env: func(key string) string {
		if key == "LATCHKEY_HOME" {
			return c.options(who).Home
		}
		return ""
	}})
}

func (c *circle) says(who string, exit int, args ...string) string {
	c.t.Helper()
	var out bytes.Buffer
	if got := c.cli(who, strings.NewReader(""), &out, args...); got != exit {
		c.t.Fatalf("%s %v: exit %d, want %d", who, args, got, exit)
	}
	return out.String()
}

// lines hands the JSON objects of a running command to the test, one by one.
type lines struct {
	t   *testing.T
	dec *json.Decoder
}

func (l lines) next() map[string]any {
	l.t.Helper()
	v := map[string]any{}
	if err := l.dec.Decode(&v); err != nil {
		l.t.Fatal(err)
	}
	return v
}

// start runs a command beside the test.
func (c *circle) start(who string, args ...string) (in io.Writer, out lines, done <-chan int) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- c.cli(who, inR, outW, args...)
		outW.Close()
	}()
	return inW, lines{c.t, json.NewDecoder(outR)}, exit
}

// TestContactCommands walks the commands of trusted contacts up to the wait,
// which no command shortens.
func TestContactCommands(t *testing.T) {
	c := newCircle(t, time.Nanosecond)
	c.says("ann", exitUsage, "contact", "set", "ben", "carl")
	c.says("ann", exitFailed, "contact", "set", "ben", "carl", "nobody")
	c.says("ann", exitRefused, "contact", "set", "ben", "carl", "ann")
	c.says("ben", exitRefused, "contact", "help", "ann")
	c.says("ann", exitDone, "contact", "set", "ben", "carl", "dora")
	var list struct {
		Contacts []struct{ Name string }
		Since    string
		Broken   string
		By       []struct{ Name string } `json:"trusted_by"`
	}
	if err := json.Unmarshal([]byte(c.says("ann", exitDone, "contact", "list", "--json")), &list); err != nil || len(list.Contacts) != 3 || list.Broken != "" {
		t.Fatalf("%+v %v", list, err)
	}
	if err := json.Unmarshal([]byte(c.says("ben", exitDone, "contact", "list", "--json")), &list); err != nil || len(list.By) != 1 || list.By[0].Name != "ann" {
		t.Fatalf("%+v %v", list, err)
	}

	in, ben, benDone := c.start("ben", "contact", "help", "ann", "--json")
	link := ben.next()["link"].(string)
	if !strings.HasPrefix(link, c.server.URL+"/#help=") {
		t.Errorf("the link is %s", link)
	}
	_, ann, annDone := c.start("ann-2", "recover", "--help-link", link, "--json")
	if code := ann.next()["recovery_code"].(string); len(code) != 39 {
		t.Errorf("a code of %d characters", len(code))
	}
	digits := ann.next()["digits"].(string)
	if state := ann.next()["state"]; state != "digits" {
		t.Errorf("ann is told %v", state)
	}
	if exit := <-annDone; exit != exitDone {
		t.Errorf("recover: exit %d", exit)
	}
	if _, err := io.WriteString(in, inGroups(digits, 4)+"\n"); err != nil {
		t.Fatal(err)
	}
	claim := ben.next()["claim"].(string)
	if exit := <-benDone; exit != exitDone {
		t.Errorf("help: exit %d", exit)
	}

	var claims struct {
		Claims []struct {
			Claim, State, Until string
			By                  []struct{ Name string }
			Mine, Signed        bool
		}
	}
	if err := json.Unmarshal([]byte(c.says("carl", exitDone, "contact", "claims", "--json")), &claims); err != nil || len(claims.Claims) != 1 ||
		claims.Claims[0].Claim != claim || claims.Claims[0].State != "open" || !claims.Claims[0].Mine || claims.Claims[0].Signed {
		t.Fatalf("%+v %v", claims, err)
	}
	if out := c.says("eve", exitDone, "contact", "claims"); !strings.Contains(out, claim) {
		t.Errorf("eve reads %s", out)
	}
	c.says("carl", exitVerify, "contact", "confirm", claim, strings.Repeat("7", 24))
	c.says("carl", exitFailed, "contact", "confirm", "ffffffffffff", digits)
	c.says("carl", exitDone, "contact", "confirm", claim[:8], digits)
	c.says("carl", exitRefused, "contact", "release", claim) // seven days: the command line knows no other wait
	c.says("eve", exitRefused, "contact", "stop", claim)
	if out := c.says("ann-2", exitDone, "recover", "--help-link", link, "--json"); !strings.Contains(out, `"state":"waiting"`) || strings.Contains(out, "recovery_code") {
		t.Errorf("ann is told %s", out)
	}
	c.says("dora", exitDone, "contact", "stop", claim)
	c.says("ann-2", exitRefused, "recover", "--help-link", link, "--json")
	c.says("ann", exitDone, "contact", "remove")
	c.says("ann-3", exitUsage, "recover", "--help-link", "https://cloud.example/#join=AAAA")
	c.says("ann-3", exitUsage, "recover")
}
