// Package world is for tests only: real processes (cloud, hub, cameras,
// people) as a small vocabulary. It talks to them as users do, through the
// built binary, and ends only the processes it started. It may be imported by
// test files alone.
package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// World is one cloud with its data, one household with a hub, and cameras, in
// a temporary folder.
type World struct {
	t        *testing.T
	Dir      string
	Server   string // the cloud's origin
	listen   string
	metrics  string // the cloud's metrics listener
	bin      string
	hubArgs  []string
	CloudEnv []string // added to the cloud's environment
	HubEnv   []string // added to the hub's
	Proxy    *Proxy   // between everybody and the cloud; nil without UseProxy
	cloud    *Process
	hub      *Process
	disks    []*Disk
	cloudDir string
	hubDir   string
}

// New makes an empty world; nothing runs yet.
func New(t *testing.T) *World {
	t.Helper()
	addr := FreeAddr(t)
	dir := t.TempDir()
	w := &World{
		t: t, Dir: dir, Server: "http://" + addr, listen: addr, metrics: FreeAddr(t), bin: latchkeyBinary(t),
		cloudDir: filepath.Join(dir, "cloud"), hubDir: filepath.Join(dir, "hub"),
	}
	t.Cleanup(func() {
		for _, p := range []*Process{w.hub, w.cloud} {
			p.stop()
		}
		for _, d := range w.disks {
			d.unmount()
		}
	})
	return w
}

// UseProxy puts a recording proxy between everybody and the cloud. Before the
// first StartCloud.
func (w *World) UseProxy() *Proxy {
	w.Proxy = newProxy(w.t, w.listen)
	w.Server = w.Proxy.url
	return w.Proxy
}

// CloudOn and HubOn put the data onto a disk of their own. Before the first start.
func (w *World) CloudOn(d *Disk) { w.cloudDir = filepath.Join(d.Dir, "cloud") }

// HubOn is CloudOn for the hub.
func (w *World) HubOn(d *Disk) { w.hubDir = filepath.Join(d.Dir, "hub") }

var built struct {
	once sync.Once
	path string
	err  error
}

// latchkeyBinary builds cmd/latchkey once for all tests of the process.
func latchkeyBinary(t *testing.T) string {
	t.Helper()
	lookAtSources(t)
	if bin := os.Getenv("LATCHKEY_BIN"); bin != "" {
		return bin
	}
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "latchkey-world-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "latchkey")
		out, err := exec.Command("go", "build", "-o", built.path, "latchkey.dev/latchkey/cmd/latchkey").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build latchkey: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// lookAtSources makes the go command's test cache see what the binary is built
// from: it remembers the folders that a test has read.
func lookAtSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"chain", "cmd", "internal", "part"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(string, fs.DirEntry, error) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// RemoveBinary deletes what latchkeyBinary built; for TestMain.
func RemoveBinary() {
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
}

// FreeAddr returns a loopback address nobody listens on now.
func FreeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Process is one child process.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *lockedBuffer
	over chan struct{}
	err  error
}

// lockedBuffer keeps the last of a child's output.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 4<<20 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the binary in the background.
func (w *World) start(name string, env []string, args ...string) *Process {
	w.t.Helper()
	p := &Process{name: name, cmd: exec.Command(w.bin, args...), log: &lockedBuffer{}, over: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.over)
	}()
	return p
}

// Kill ends the process as a power cut of the process would: SIGKILL.
func (p *Process) Kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself; over tells
	<-p.over
}

// stop asks politely first.
func (p *Process) stop() {
	if p == nil {
		return
	}
	select {
	case <-p.over:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as above
	select {
	case <-p.over:
	case <-time.After(20 * time.Second):
		p.Kill()
	}
}

// Stop ends the process gracefully and fails the test if it did not end well.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	p.stop()
	if p.err != nil {
		t.Fatalf("%s ended with %v:\n%s", p.name, p.err, tail(p.log.String()))
	}
}

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.over:
		return false
	default:
		return true
	}
}

// Log returns what the process wrote so far (its last megabytes).
func (p *Process) Log() string { return p.log.String() }

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

func tail(s string) string {
	if len(s) > 4000 {
		return "…" + s[len(s)-4000:]
	}
	return s
}

// StartCloud starts the cloud, again on the same address and data if it ran before.
func (w *World) StartCloud() *Process {
	w.t.Helper()
	w.cloud = w.start("cloud", w.CloudEnv, "serve", "--data", w.CloudData(), "--listen", w.listen, "--public-url", w.Server, "--metrics-listen", w.metrics, "--proof-every", "1s")
	w.Await("the cloud answers", 20*time.Second, func() bool {
		resp, err := http.Get("http://" + w.listen + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return w.cloud
}

// CloudData is the cloud's data directory.
func (w *World) CloudData() string { return w.cloudDir }

// HubData is the hub's data directory.
func (w *World) HubData() string { return w.hubDir }

// Person is somebody with keys in a folder of his own.
type Person struct {
	w    *World
	Name string
}

// Person returns the person of that name.
func (w *World) Person(name string) Person { return Person{w: w, Name: name} }

// Result is what one command printed and how it ended.
type Result struct {
	Out, Err string
	Code     int
}

// Run runs a command as the person, for at most a minute.
func (p Person) Run(args ...string) Result {
	p.w.t.Helper()
	return p.RunFor(time.Minute, args...)
}

// RunFor runs a command as the person, for at most d.
func (p Person) RunFor(d time.Duration, args ...string) Result {
	p.w.t.Helper()
	ctx, cancel := context.WithTimeout(p.w.t.Context(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.w.bin, args...)
	cmd.Env = append(os.Environ(), "LATCHKEY_HOME="+p.home())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.w.t.Fatalf("%s: latchkey %s: %v", p.Name, strings.Join(args, " "), err)
	}
	return Result{Out: out.String(), Err: errOut.String(), Code: cmd.ProcessState.ExitCode()}
}

// Do is Run for commands that must succeed; it returns their output.
func (p Person) Do(args ...string) string {
	p.w.t.Helper()
	r := p.Run(args...)
	if r.Code != 0 {
		p.w.t.Fatalf("%s: latchkey %s: exit %d\n%s%s", p.Name, strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// JSON runs a command that must succeed and decodes its document.
func (p Person) JSON(into any, args ...string) {
	p.w.t.Helper()
	out := p.Do(args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.w.t.Fatalf("%s: latchkey %s: %v in %q", p.Name, strings.Join(args, " "), err, out)
	}
}

func (p Person) home() string { return filepath.Join(p.w.Dir, "people", p.Name) }

// Found creates the household with this person as its founder.
func (p Person) Found() {
	p.w.t.Helper()
	p.Do("household", "create", "--server", p.w.Server, "--name", "Test house", "--as", p.Name)
}

// PairHub invites a hub as this person and starts it.
func (w *World) PairHub(by Person, extra ...string) *Process {
	w.t.Helper()
	invite := w.start("invite", []string{"LATCHKEY_HOME=" + by.home()}, "hub", "invite", "--json")
	defer invite.stop()
	var code string
	w.Await("a pairing code", 20*time.Second, func() bool {
		line, _, ok := strings.Cut(invite.Log(), "\n")
		var doc struct{ Code string }
		if !ok || json.Unmarshal([]byte(line), &doc) != nil {
			return false
		}
		code = doc.Code
		return code != ""
	})
	w.hubArgs = append([]string{"hub", "run", "--data", w.HubData()}, extra...)
	w.hub = w.start("hub", w.hubEnv(), append(w.hubArgs, "--server", w.Server, "--pair", code)...)
	select {
	case <-invite.over:
	case <-time.After(30 * time.Second):
		w.t.Fatalf("the hub did not pair:\n%s\n%s", tail(invite.Log()), tail(w.hub.Log()))
	}
	return w.hub
}

func (w *World) hubEnv() []string {
	return append([]string{"LATCHKEY_HOME=" + filepath.Join(w.Dir, "hub-home")}, w.HubEnv...)
}

// StartHub starts the paired hub again.
func (w *World) StartHub() *Process {
	w.t.Helper()
	w.hub = w.start("hub", w.hubEnv(), w.hubArgs...)
	return w.hub
}

// StartCamera plays an mp4 file as an RTSP camera and returns its address.
func (w *World) StartCamera(name, file string) string {
	w.t.Helper()
	url := fmt.Sprintf("rtsp://%s/%s", FreeAddr(w.t), name)
	w.ServeCamera(url, file)
	return url
}

// ServeCamera is StartCamera at a given address, which may demand a user and a
// password. The camera ends with the test, or before.
func (w *World) ServeCamera(url, file string) *Process {
	w.t.Helper()
	p := w.start("camera", nil, "camera", "simulate", file, "--listen", url)
	w.t.Cleanup(p.stop)
	host := strings.TrimPrefix(url, "rtsp://")
	host, _, _ = strings.Cut(host, "/")
	host = host[strings.LastIndex(host, "@")+1:]
	w.Await("a camera at "+host, 10*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", host, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return p
}

// Await polls until ok or fails the test. The limit is a bound against
// hanging, not a measurement.
func (w *World) Await(what string, limit time.Duration, ok func() bool) {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < limit {
		if ok() {
			if took := time.Since(began); took > 5*time.Second {
				w.t.Logf("waited %s for: %s", took.Round(time.Second), what)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	logs := ""
	for _, p := range []*Process{w.cloud, w.hub} {
		if p != nil {
			logs += "\n--- " + p.name + "\n" + tail(p.Log())
		}
	}
	w.t.Fatalf("waited %s in vain for: %s%s", limit, what, logs)
}

// Fsck runs fsck over the cloud's data (the cloud may run or not).
func (w *World) Fsck() Result {
	w.t.Helper()
	return w.Person("operator").Run("fsck", "--data", w.CloudData())
}
