package watch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/ledger"
)

// Witness cosigns checkpoints of logs that it knows, each only if the log begins
// with the one that it cosigned before (c2sp.org/tlog-witness).
type Witness struct {
	fs     durable.FS
	dir    string
	vkey   string
	signer note.Signer

	mu   sync.Mutex
	logs map[string]*witnessed // by origin
}

// witnessed is one log, as it was when it was cosigned last.
type witnessed struct {
	VKey string        `json:"vkey"`
	Size int64         `json:"size"`
	Root latchkey.Hash `json:"root"`
}

// OpenWitness opens the witness in dir. name is that of its key, used at the
// first start: a host name, or something like "anna.example".
func OpenWitness(fsys durable.FS, dir, name string) (*Witness, error) {
	k, err := openKey(fsys, dir, name)
	if err != nil {
		return nil, err
	}
	w := &Witness{fs: fsys, dir: dir, logs: map[string]*witnessed{}}
	if w.signer, err = cosignature.NewSignerForCosignatureV1(k.Private); err != nil {
		return nil, fmt.Errorf("watch: witness: %w", err)
	}
	if w.vkey, err = cosignature.VKeyToCosignatureV1(k.VKey); err != nil {
		return nil, fmt.Errorf("watch: witness: %w", err)
	}
	return w, readState(dir, &w.logs)
}

// VKey is the verifier key that policies name this witness by.
func (w *Witness) VKey() string { return w.vkey }

// Follow takes a log, by its verifier key. A log of a known name with another
// key is latchkey.ErrConflict.
func (w *Witness) Follow(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("watch: witness: %w: %q is no verifier key", latchkey.ErrInvalid, vkey)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.logs[v.Name()]; known != nil {
		if known.VKey != vkey {
			return fmt.Errorf("watch: witness: %w: the log %s had another key before", latchkey.ErrConflict, v.Name())
		}
		return nil
	}
	w.logs[v.Name()] = &witnessed{VKey: vkey}
	return writeState(w.fs, w.dir, w.logs)
}

const maxAddCheckpoint = 128 << 10

// refusal is an answer of the protocol other than 200.
type refusal struct {
	status int
	kind   string // content type
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, "text/plain; charset=utf-8", fmt.Sprintf(format, args...) + "\n"}
}

// ServeHTTP serves POST /add-checkpoint.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/add-checkpoint" || r.Method != http.MethodPost {
		http.NotFound(rw, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxAddCheckpoint))
	line := []byte(nil)
	if err == nil {
		line, err = w.add(string(body))
	}
	var no *refusal
	switch {
	case errors.As(err, &no):
		rw.Header().Set("Content-Type", no.kind)
		rw.WriteHeader(no.status)
		_, _ = io.WriteString(rw, no.text) // the caller has gone
	case err != nil:
		http.Error(rw, "The witness cannot store what it signs.", http.StatusInternalServerError)
	default:
		_, _ = rw.Write(line)
	}
}

// add cosigns a checkpoint and returns its signature line.
func (w *Witness) add(body string) ([]byte, error) {
	head, checkpoint, ok := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !ok || err != nil || old < 0 || lines[0] != fmt.Sprintf("old %d", old) {
		return nil, refuse(http.StatusBadRequest, "want: old SIZE, a proof, an empty line, a checkpoint")
	}
	var proof []latchkey.Hash
	for _, l := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil || len(h) != latchkey.HashSize || len(proof) == 63 {
			return nil, refuse(http.StatusBadRequest, "%q is no hash of a proof", l)
		}
		proof = append(proof, latchkey.Hash(h))
	}
	origin, _, _ := strings.Cut(checkpoint, "\n")
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.logs[origin]
	if log == nil {
		return nil, refuse(http.StatusNotFound, "unknown log")
	}
	v, err := note.NewVerifier(log.VKey)
	if err != nil {
		return nil, err
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(v))
	if err != nil {
		return nil, refuse(http.StatusForbidden, "not signed by the log's key")
	}
	now, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "not a checkpoint")
	}
	if old > now.Size {
		return nil, refuse(http.StatusBadRequest, "the old size is above the checkpoint's")
	}
	if old != log.Size {
		return nil, &refusal{http.StatusConflict, "text/x.tlog.size", fmt.Sprintf("%d\n", log.Size)}
	}
	if now.Size == log.Size && log.Size > 0 && now.Root != log.Root {
		return nil, &refusal{http.StatusConflict, "text/x.tlog.size", fmt.Sprintf("%d\n", log.Size)}
	}
	if err := ledger.CheckConsistency(proof, ledger.Checkpoint{Size: log.Size, Root: log.Root}, now); err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "the proof does not hold")
	}
	return w.sign(n, log, now)
}

// sign stores first what it is about to vouch for.
func (w *Witness) sign(n *note.Note, log *witnessed, now ledger.Checkpoint) ([]byte, error) {
	before := *log
	log.Size, log.Root = now.Size, now.Root
	if before != *log {
		if err := writeState(w.fs, w.dir, w.logs); err != nil {
			*log = before
			return nil, err
		}
	}
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		return nil, err
	}
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return []byte(line), nil
}
