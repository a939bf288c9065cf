package insider

import (
	"encoding/binary"
	"sync"
)

const (
	recentShards = 64
	recentBits   = 13 // per shard
)

// recent remembers windows that opened nothing, as many as fit: a newer one
// takes the place of an older. Safe for concurrent use.
type recent struct {
	shards [recentShards]struct {
		sync.Mutex
		windows []key
	}
}

func newRecent() *recent {
	r := &recent{}
	for i := range r.shards {
		r.shards[i].windows = make([]key, 1<<recentBits)
	}
	return r
}

// place finds where a window is kept. The bytes of a candidate are random or
// not worth a place.
func place(w []byte) (shard, slot uint64) {
	mixed := (binary.LittleEndian.Uint64(w) ^ binary.LittleEndian.Uint64(w[24:])) * 0x9e3779b97f4a7c15
	return mixed >> 58, mixed >> 20 & (1<<recentBits - 1)
}

func (r *recent) has(w []byte) bool {
	shard, slot := place(w)
	s := &r.shards[shard]
	s.Lock()
	defer s.Unlock()
	return s.windows[slot] == key(w)
}

func (r *recent) add(w []byte) {
	shard, slot := place(w)
	s := &r.shards[shard]
	s.Lock()
	defer s.Unlock()
	s.windows[slot] = key(w)
}
