package main

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
)

// startWatchers starts two witnesses and an auditor, each a process with a key
// of its own, and returns the lines of a policy that names them. A demo inside a
// test has no program to start: d.watchers are there then, or nobody.
func (d *demo) startWatchers() (string, error) {
	if d.program == "" {
		return cmp.Or(d.watchers, "quorum none\n"), nil
	}
	var b strings.Builder
	for _, name := range []string{"anna", "ben"} {
		w, err := d.startWatcher("witness", name, "--listen", "127.0.0.1:0", "--log", d.server)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "witness %s %s %s\n", name, w.VKey, w.Address)
	}
	w, err := d.startWatcher("audit", "carla", "--every", "1s", d.server)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "group both all anna ben\nquorum both\nauditor carla %s\n", w.VKey)
	return b.String(), nil
}

// watcher is what a witness or an auditor says of itself first.
type watcher struct{ VKey, Address string }

const watcherStarts = 20 * time.Second

// startWatcher starts one; it ends with the demo, however that ends.
func (d *demo) startWatcher(command, name string, args ...string) (watcher, error) {
	args = append([]string{command, "--json", "--with-parent", "--name", name + ".invalid", "--dir", filepath.Join(d.dir, "watchers", name)}, args...)
	p := exec.Command(d.program, args...)
	in, err := p.StdinPipe()
	if err != nil {
		return watcher{}, err
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return watcher{}, err
	}
	if err := p.Start(); err != nil {
		return watcher{}, fmt.Errorf("start %s: %w", command, err)
	}
	d.later(func() {
		in.Close()
		late := time.AfterFunc(5*time.Second, func() { _ = p.Process.Kill() }) // it may have gone meanwhile
		_ = p.Wait()                                                           // how it ended is of no interest any more
		late.Stop()
	})
	first := make(chan error, 1)
	var w watcher
	go func() {
		r := bufio.NewReader(out)
		line, err := r.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &w)
		}
		first <- err
		_, _ = io.Copy(io.Discard, r) // it says nothing more
	}()
	select {
	case err := <-first:
		if err != nil {
			return watcher{}, fmt.Errorf("start %s: it says nothing of itself: %w", command, err)
		}
	case <-time.After(watcherStarts):
		return watcher{}, fmt.Errorf("start %s: it says nothing of itself", command)
	}
	return w, nil
}

// release signs the release of this program's page with two keys, as two people
// would, and returns the lines of a policy that name them.
func (d *demo) release() (lines string, signed []byte, err error) {
	manifest, err := webManifest()
	if err != nil {
		return "", nil, err
	}
	r := ledger.Release{Kind: "web", Version: buildVersion(), Hash: sha256.Sum256(manifest), Source: buildVersion()}
	var b strings.Builder
	for _, name := range []string{"rhea", "rolf"} {
		dir := filepath.Join(d.dir, "releasers")
		if err := durable.MkdirAll(durable.Disk{}, dir, 0o700); err != nil {
			return "", nil, err
		}
		key, err := signkey.Open(durable.Disk{}, filepath.Join(dir, name+".key"), name+".invalid")
		if err != nil {
			return "", nil, err
		}
		if signed, err = addSignature(r.Text(), signed, key); err != nil {
			return "", nil, err
		}
		fmt.Fprintf(&b, "releaser %s %s\n", name, key.VKey)
	}
	return b.String(), signed, nil
}
