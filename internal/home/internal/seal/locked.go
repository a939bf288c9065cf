package seal

import (
	"fmt"
	"runtime"
)

const keySize = 32

// key is one node, leaf or root of a tree.
type key = [keySize]byte

// locked is memory for keys outside the Go heap: the collector never copies it,
// and where the system allows, it stays off swap and out of core dumps. Locking
// is best effort (RLIMIT_MEMLOCK may be small); erasing always works.
type locked struct{ mem []byte }

// newLocked returns room for n keys, all zero.
func newLocked(n int) (*locked, error) {
	mem, err := allocLocked(max(n, 1) * keySize)
	if err != nil {
		return nil, fmt.Errorf("seal: allocate locked memory: %w", err)
	}
	l := &locked{mem: mem}
	runtime.SetFinalizer(l, (*locked).close) // an epoch that nobody closed is erased all the same
	return l, nil
}

// at returns the i-th key. It is valid until close.
func (l *locked) at(i int) *key { return (*key)(l.mem[i*keySize : (i+1)*keySize]) }

// close erases and gives the memory back. It may be called again.
func (l *locked) close() {
	if l.mem == nil {
		return
	}
	clear(l.mem)
	freeLocked(l.mem)
	l.mem = nil
	runtime.SetFinalizer(l, nil)
}
