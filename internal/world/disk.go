package world

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Disk is a small file system of its own, an ext4 image mounted by loop: it
// can be full, and its power can be cut.
type Disk struct {
	t     *testing.T
	Dir   string // where it is mounted
	image string
	cuts  int
	up    bool
}

// NewDisk makes and mounts a disk. The test is skipped where mounting is not
// permitted: it takes root and loop devices.
func (w *World) NewDisk(name string, megabytes int) *Disk {
	w.t.Helper()
	d := &Disk{t: w.t, Dir: filepath.Join(w.Dir, name), image: filepath.Join(w.Dir, name+".0.img")}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	f, err := os.Create(d.image)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := f.Truncate(int64(megabytes) << 20); err != nil {
		w.t.Fatal(err)
	}
	f.Close()
	err = command("mkfs.ext4", "-q", "-F", "-m", "0", d.image)
	if err == nil {
		err = d.mount()
	}
	if err != nil {
		w.t.Skipf("mounting is not permitted here: %v", err)
	}
	w.disks = append(w.disks, d)
	return d
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (d *Disk) mount() error {
	err := command("mount", "-o", "loop", d.image, d.Dir)
	d.up = d.up || err == nil
	return err
}

// unmount waits for processes that were just killed to let go.
func (d *Disk) unmount() {
	if !d.up {
		return
	}
	d.up = false
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = syscall.Unmount(d.Dir, 0); err == nil {
			return
		}
	}
	d.t.Errorf("unmount %s: %v", d.Dir, err)
	_ = syscall.Unmount(d.Dir, syscall.MNT_DETACH) // so that the temporary folder can go
}

// Cut cuts the power of p, whose files are on d: p is frozen, what the medium
// has at that moment is kept, p dies, and d is mounted again from the medium:
// what the kernel had not written is gone. frozen is called while p can do
// nothing any more, to note what it has promised.
func (d *Disk) Cut(p *Process, frozen func()) {
	d.t.Helper()
	p.Freeze(d.t)
	d.cuts++
	next := fmt.Sprintf("%s.%d.img", d.Dir, d.cuts)
	d.copyImage(next)
	frozen()
	p.Kill()
	d.unmount()
	if err := os.Remove(d.image); err != nil {
		d.t.Fatal(err)
	}
	d.image = next
	if err := d.mount(); err != nil { // replays the journal
		d.t.Fatal(err)
	}
}

// copyImage copies the medium as it was at one moment. The kernel may write
// back meanwhile, so it is read until it was the same twice.
func (d *Disk) copyImage(to string) {
	d.t.Helper()
	var last []byte
	for range 100 {
		now, err := os.ReadFile(d.image)
		if err != nil {
			d.t.Fatal(err)
		}
		if bytes.Equal(now, last) {
			if err := os.WriteFile(to, now, 0o600); err != nil {
				d.t.Fatal(err)
			}
			return
		}
		last = now
	}
	d.t.Fatalf("%s does not come to rest", d.image)
}

// Ballast fills the disk until about free bytes are left, or none when somebody
// else writes there too. Called again, it makes the ballast smaller or larger.
func (d *Disk) Ballast(free int64) {
	d.t.Helper()
	path := filepath.Join(d.Dir, "ballast")
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.Dir, &st); err != nil {
		d.t.Fatal(err)
	}
	n := int64(st.Bavail)*st.Bsize - free
	if n <= 0 {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 64<<10); n > 0 && err == nil; n -= int64(len(piece)) {
		_, err = f.Write(piece)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("ballast: %v", err)
	}
}

// Fill adds to the ballast whatever has become free, without ever letting go of
// what it has.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Dir, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatalf("fill: %v", err)
		}
		return
	}
	defer f.Close()
	for piece := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(piece)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("fill: %v", err)
	}
}

// Freeze stops every thread of the process where it is.
func (p *Process) Freeze(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatalf("freeze %s: %v", p.name, err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if p.frozen() {
			return
		}
	}
	t.Fatalf("%s does not stop", p.name)
}

// frozen reports whether every thread is stopped: one that waits for the disk
// stops only after it.
func (p *Process) frozen() bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid()))
	if err != nil || len(tasks) == 0 {
		return false
	}
	for _, path := range tasks {
		stat, err := os.ReadFile(path)
		if err != nil {
			return false // a thread ended just now; look again
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return true
}
