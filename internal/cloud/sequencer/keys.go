package sequencer

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
)

// keys are the operator's own signing keys: they vouch for the log and its
// sets, and open nothing. Each is in a file of its own.
type keys struct{ log, operator signkey.Key }

const (
	logKey      = "log.key"
	operatorKey = "operator.key"
)

// originPath ends the origin of a log. It is no date: one log goes on for ever
// (docs/design/0005, "One log").
const originPath = "/log/1"

// openKeys reads the keys, or draws them at the first start. The log's key
// carries its origin, which therefore stays what it was.
func openKeys(fsys durable.FS, dir, name string) (keys, error) {
	log, err := signkey.Open(fsys, filepath.Join(dir, logKey), name+originPath)
	if err != nil {
		return keys{}, err
	}
	operator, err := signkey.Open(fsys, filepath.Join(dir, operatorKey), name)
	return keys{log, operator}, err
}

// readKeys reads the keys of a log that is there.
func readKeys(dir string) (keys, error) {
	log, err := signkey.Read(filepath.Join(dir, logKey))
	if err != nil {
		return keys{}, err
	}
	operator, err := signkey.Read(filepath.Join(dir, operatorKey))
	return keys{log, operator}, err
}

// policy is the whole policy that clients pin.
func (k keys) policy(watchers string) (*ledger.Policy, error) {
	if strings.TrimSpace(watchers) == "" {
		watchers = "quorum none\n"
	}
	own := "log " + k.log.VKey + "\noperator " + k.operator.VKey + "\n"
	p, err := ledger.ParsePolicy(own + watchers)
	if err != nil {
		return nil, fmt.Errorf("the policy file: %w", err)
	}
	for _, w := range p.Witnesses {
		if w.URL == "" && p.Witnessed() {
			return nil, fmt.Errorf("the policy file: %w: witness %s has no URL", latchkey.ErrInvalid, w.Name)
		}
	}
	return ledger.ParsePolicy(own + withoutURLs(watchers))
}

// named are the words of a policy that name somebody with a key.
var named = []string{"witness", "auditor", "releaser", "staffroot"}

// withoutURLs are the lines as clients pin them: who vouches, not where he
// lives. A witness who moves is no other witness.
func withoutURLs(lines string) string {
	var b strings.Builder
	for l := range strings.Lines(lines) {
		words := strings.Fields(l)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if slices.Contains(named, words[0]) {
			words = words[:3]
		}
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}

// witnessLines are the policy without the words that the log's library does not
// know.
func witnessLines(p *ledger.Policy, watchers string) string {
	if !p.Witnessed() {
		return "quorum none\n"
	}
	var b strings.Builder
	for l := range strings.Lines(watchers) {
		if words := strings.Fields(l); len(words) > 0 && (words[0] == "witness" || !slices.Contains(named, words[0])) {
			b.WriteString(l)
		}
	}
	return b.String()
}

// checkpointSigner signs checkpoints until it is closed, and knows which was the
// last: the library gives no other way to see it stop.
type checkpointSigner struct {
	note.Signer
	end chan struct{} // closed with it

	mu   sync.Mutex
	last []byte // what was signed last
	over bool
}

func (c *checkpointSigner) Sign(msg []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, errors.New("the log is closing")
	}
	c.last = bytes.Clone(msg)
	return c.Signer.Sign(msg)
}

func (c *checkpointSigner) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		close(c.end)
	}
}

// lastSigned is the text of the last checkpoint that was signed.
func (c *checkpointSigner) lastSigned() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

var quiet sync.Once

// quietLibrary sends what the library says about itself to our log, and only
// what is wrong. It keeps one logger a process.
func quietLibrary(log *slog.Logger) {
	quiet.Do(func() { klog.SetSlogLogger(slog.New(atLeast{log.Handler(), slog.LevelWarn})) })
}
