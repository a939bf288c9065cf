package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

// store is the hub's small files in DataDir. Each is replaced whole; keys and
// passwords are sealed under the machine key, which lies elsewhere.
type store struct {
	dir     string
	fs      durable.FS
	machine keys.MachineKey

	mu   sync.Mutex
	conf settings
}

// settings is the file `config`: JSON sealed under the machine key.
type settings struct {
	Server    string      `json:"server"`
	Household string      `json:"household"` // hex; empty: not paired
	Offer     []byte      `json:"offer"`     // sent under the code of now, until paired
	Joining   *joining    `json:"joining"`   // an admin has answered; nil before, and once paired
	Code      string      `json:"code"`      // rendezvous of the code that he answered, hex
	Port      uint16      `json:"port"`      // on the home network, of the last run
	Doubled   bool        `json:"doubled"`   // another machine was seen with this identity
	Removed   bool        `json:"removed"`   // the household has removed this hub
	Cameras   []cameraCfg `json:"cameras"`
	Health    []healthCfg `json:"health,omitempty"` // whom reports go to, for which ticket
}

// cameraCfg is one camera, as the `camera` command gives it.
type cameraCfg struct {
	Camera   string                        `json:"camera"` // hex
	Name     string                        `json:"name"`
	URL      string                        `json:"url"`
	SubURL   string                        `json:"sub_url"`
	User     string                        `json:"user"`
	Password camera.Password               `json:"password"`
	Mode     string                        `json:"mode"`
	Audio    bool                          `json:"audio"`
	Tracks   map[latchkey.TrackKind]string `json:"tracks"` // kind → hex
}

func (s settings) paired() bool { return s.Household != "" }

func (s settings) household() latchkey.HouseholdID {
	id, _ := latchkey.ParseHouseholdID(s.Household) // checked when it was loaded or set
	return id
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// identity opens hub.key, or draws the hub's keys on the very first start.
func (s *store) identity() (keys.Identity, error) {
	b, err := os.ReadFile(s.path("hub.key"))
	if err == nil {
		return s.machine.OpenIdentity(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return keys.Identity{}, err
	}
	id := keys.NewIdentity()
	if b, err = s.machine.SealIdentity(id); err != nil {
		return keys.Identity{}, err
	}
	return id, durable.WriteFile(s.fs, s.path("hub.key"), b, 0o600)
}

// load opens `config`; none is an unpaired hub.
func (s *store) load() error {
	b, err := os.ReadFile(s.path("config"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	plain, err := s.machine.OpenLocal("config", b)
	if err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	defer clear(plain)
	var c settings
	if err := json.Unmarshal(plain, &c); err != nil {
		return fmt.Errorf("open config: %w: not what this version writes", latchkey.ErrInvalid)
	}
	if c.Household != "" {
		if _, err := latchkey.ParseHouseholdID(c.Household); err != nil {
			return fmt.Errorf("open config: %w", err)
		}
	}
	s.conf = c
	return nil
}

// cfg returns the settings of now; their slices are not to be changed.
func (s *store) cfg() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

// change makes new settings durable, then current.
func (s *store) change(fn func(*settings)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.conf
	next.Cameras = append([]cameraCfg(nil), s.conf.Cameras...)
	next.Health = append([]healthCfg(nil), s.conf.Health...)
	fn(&next)
	plain, err := marshalSettings(next)
	if err != nil {
		return fmt.Errorf("hub: save config: %w", err)
	}
	defer clear(plain)
	sealed, err := s.machine.SealLocal("config", plain)
	if err != nil {
		return fmt.Errorf("hub: save config: %w", err)
	}
	if err := durable.WriteFile(s.fs, s.path("config"), sealed, 0o600); err != nil {
		return fmt.Errorf("hub: save config: %w", err)
	}
	s.conf = next
	return nil
}

// marshalSettings is the one place that reads camera passwords to write them.
func marshalSettings(c settings) ([]byte, error) { return json.Marshal(c) }

// readChain returns the statements of the file `chain`.
func (s *store) readChain() ([][]byte, error) { return s.readNotes("chain") }

func (s *store) writeChain(notes [][]byte) error { return s.writeNotes("chain", notes) }

// readNotes returns the notes of a file, in the form in which they travel on
// the home network; none when there is no file, or nothing in it.
func (s *store) readNotes(name string) ([][]byte, error) {
	b, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	notes, err := lan.ParseNotes(b, math.MaxInt)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return notes, nil
}

func (s *store) writeNotes(name string, notes [][]byte) error {
	return durable.WriteFile(s.fs, s.path(name), lan.PackNotes(notes), 0o600)
}

// forgetChain removes what a pairing that came to nothing has fetched.
func (s *store) forgetChain() error {
	return errors.Join(durable.Remove(s.fs, s.path("chain")), durable.Remove(s.fs, s.path(earlyFile)), durable.Remove(s.fs, s.path(logFile)))
}

// used reports whether a household's data is here, beside identity and config.
func (s *store) used() (bool, error) {
	for _, pattern := range []string{"chain", earlyFile, logFile, "epochs/*", "spool/*.seg"} {
		found, err := filepath.Glob(s.path(pattern))
		if err != nil || len(found) > 0 {
			return len(found) > 0, err
		}
	}
	return false, nil
}

// life is the file `alive`: what the next start has to know of this run. It
// holds nothing that the cloud does not see anyway.
type life struct {
	At    int64      `json:"at"`    // unix ms, last known time
	Quick int        `json:"quick"` // starts in a row that did not outlive the least spacing of epochs
	Last  []lastHead `json:"last"`  // heads of the newest epoch
	// Untold says, by camera, since when (unix ms) there is a gap that no
	// sealed record tells of: a run that is killed before its first epoch must
	// not make the gap before it inexplicable.
	Untold map[string]int64 `json:"untold,omitempty"`
}

type lastHead struct {
	Track string `json:"track"`
	Epoch string `json:"epoch"`
	Seq   uint32 `json:"seq"`
	Hash  []byte `json:"hash"`
}

// readLife returns a zero life on the first start, and when the file is not
// what we write: it only makes a gap and a back-off exact.
func (s *store) readLife() life {
	var l life
	b, err := os.ReadFile(s.path("alive"))
	if err != nil || json.Unmarshal(b, &l) != nil {
		return life{}
	}
	return l
}

func (s *store) writeLife(l life) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.fs, s.path("alive"), b, 0o600)
}

// off is since when the camera was not recorded, as far as this run knew.
func (l life) off(id latchkey.CameraID) time.Time {
	if since, ok := l.Untold[id.String()]; ok && since < l.At {
		return time.UnixMilli(since)
	}
	return l.time()
}

func (l life) time() time.Time {
	if l.At == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.At)
}

func toLast(heads []chain.LastHead) []lastHead {
	out := make([]lastHead, len(heads))
	for i, h := range heads {
		out[i] = lastHead{Track: h.Track.String(), Epoch: h.Epoch.String(), Seq: h.Seq, Hash: h.Hash[:]}
	}
	return out
}

// heads returns the last heads; a malformed line is left out.
func (l life) heads() []chain.LastHead {
	var out []chain.LastHead
	for _, s := range l.Last {
		h := chain.LastHead{Seq: s.Seq}
		var err1, err2 error
		h.Track, err1 = latchkey.ParseTrackID(s.Track)
		h.Epoch, err2 = latchkey.ParseEpochID(s.Epoch)
		if err1 == nil && err2 == nil && copy(h.Hash[:], s.Hash) == len(h.Hash) {
			out = append(out, h)
		}
	}
	return out
}
