package insider

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// nodeBudget bounds the node tests that a window outside verified parts
	// costs without Deep: some 60 µs.
	nodeBudget = 192
	// maxFindings bounds the list: a leaked film has a finding a frame.
	maxFindings = 10_000
	// chunk is how many windows are one task: dear ones take a second or two.
	chunk = 16 << 10
)

// scan is one run of the drill.
type scan struct {
	Config
	began     time.Time
	disguises []disguise
	known     *known
	targets   *targets
	seen      *recent

	mu       sync.Mutex // guards what follows
	files    []string
	total    int64 // bytes in files
	done     int64 // of them, examined
	decoded  int64
	windows  int64
	skipped  int64
	tests    map[string]int64
	unread   map[string]string // path → why
	findings map[Finding]bool
	opened   int // entries of capsules, with keys of staff
	more     int
}

func newScan(c Config) *scan {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	return &scan{
		Config: c, began: time.Now(), disguises: disguises(c.Canaries), known: newKnown(hold(c.StaffKeyDirs)), seen: newRecent(),
		tests: map[string]int64{}, unread: map[string]string{}, findings: map[Finding]bool{},
	}
}

func (s *scan) run(ctx context.Context) error {
	s.list()
	if err := s.pass(ctx, func(w *worker, st stretch) { s.collect(w, st) }, nil); err != nil {
		return err
	}
	budget := nodeBudget
	if s.Deep {
		budget = 0
	}
	s.targets = s.known.freeze(budget)
	s.useHeld()
	return s.pass(ctx, s.examine, s.targets)
}

// list finds the files. Links are not followed: what they lead to is either
// below a folder too or not the server's.
func (s *scan) list() {
	add := func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			s.unread[path] = err.Error()
			return nil //nolint:nilerr // reported as unread; the rest is still searched
		}
		if !e.Type().IsRegular() {
			return nil
		}
		if st, err := e.Info(); err == nil {
			s.total += st.Size()
		}
		s.files = append(s.files, path)
		return nil
	}
	for _, dir := range slices.Concat(s.DataDirs, s.StaffKeyDirs, s.MemoryImages) {
		// add never fails, so neither does the walk.
		_ = filepath.WalkDir(dir, add)
	}
	slices.Sort(s.files)
	s.files = slices.Compact(s.files)
}

// pass hands every stretch of every file to look, on all workers.
func (s *scan) pass(ctx context.Context, look func(*worker, stretch), t *targets) error {
	p := newPool()
	for _, path := range slices.Backward(s.files) {
		p.push(func(w *worker) {
			err := readSegments(path, func(st stretch) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				look(w, st)
				return nil
			})
			if err != nil && ctx.Err() == nil {
				s.cannotRead(path, err)
			}
		})
	}
	var wg sync.WaitGroup
	for range s.Workers {
		wg.Go(func() {
			w := &worker{ctx: ctx, pool: p}
			if t != nil {
				w.try = newTrier(t, s.seen)
			}
			p.work(w)
			s.merge(w)
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (s *scan) cannotRead(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A store that is in use removes files: those are gone, not hidden.
	if !os.IsNotExist(err) {
		s.unread[path] = err.Error()
	}
}

// collect is the first pass: what is public.
func (s *scan) collect(w *worker, st stretch) {
	s.known.collect(st)
	s.payloads(st, s.known.collect)
	st.expansions(func(d stretch) { s.collect(w, d) })
}

// payloads calls f for values that a database spreads over several pages.
func (s *scan) payloads(st stretch, f func(stretch)) {
	if !st.whole || st.depth > 0 {
		return
	}
	if db := openSQLite(st.file, st.data); db != nil {
		db.spilled(func(at int, payload []byte) { f(st.decoded("a value on several pages", at, payload)) })
	}
}

// examine is the second pass: whatever is readable, and every window.
func (s *scan) examine(w *worker, st stretch) {
	s.readable(st)
	inside := s.verified(st)
	for from := 0; from < st.own; from += chunk {
		until := min(from+chunk, st.own)
		w.pool.push(func(w *worker) {
			if w.ctx.Err() != nil {
				return
			}
			s.tryWindows(w, st, inside, from, until)
			s.progress(st, until-from)
		})
	}
	child := func(d stretch) {
		s.mu.Lock()
		s.decoded += int64(len(d.data))
		s.mu.Unlock()
		s.examine(w, d)
	}
	s.payloads(st, child)
	st.expansions(child)
	st.texts(s.known.isPublic, child)
}

// readable looks for what needs no key.
func (s *scan) readable(st stretch) {
	found := func(k Kind, at int, what string) {
		if at < st.own {
			s.found(st, k, at, what)
		}
	}
	for _, d := range s.disguises {
		each(st.data, d.bytes, func(at int) {
			found(KindCanary, at, fmt.Sprintf("canary %d of %d, %s", d.canary+1, len(s.Canaries), d.form))
		})
	}
	findMedia(st.data, func(at int, what string) { found(KindMedia, at, what) })
	findCodes(st.data, func(at int, recovery key) {
		what := "a typed code with valid check digits"
		s.tryRecovery(recovery, func(more string) { what += ": " + more })
		found(KindCode, at, what)
	})
}

// tryRecovery tells what a code opens as a recovery code.
func (s *scan) tryRecovery(recovery key, opens func(what string)) {
	t := newTrier(s.targets, s.seen)
	t.found = func(_ Kind, what string) { opens(what) }
	t.prf.set(recovery[:])
	t.symmetric()
	seed := t.prf.kdf("recovery sign", nil, nil)
	t.asymmetric(seed[:])
}

func (s *scan) found(st stretch, k Kind, at int, what string) {
	if st.via != "" {
		what += " (in " + st.via + ")"
	}
	s.finding(Finding{Kind: k, File: st.file, Offset: st.where(at), What: what})
}

func (s *scan) finding(f Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.findings) < maxFindings || s.findings[f] {
		s.findings[f] = true
		return
	}
	s.more++
}

func (s *scan) progress(st stretch, n int) {
	if st.depth > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += int64(n)
	if s.Progress != nil {
		s.Progress(s.done, s.total)
	}
}

func (s *scan) merge(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows += w.windows
	s.skipped += w.skipped
	if w.try != nil {
		for k, n := range w.try.tests {
			s.tests[k] += n
		}
	}
}

func (s *scan) report() Report {
	t := s.targets
	r := Report{
		Files: len(s.files), Bytes: s.done + s.decoded, Decoded: s.decoded, Windows: s.windows, Skipped: s.skipped,
		Tests: s.tests, More: s.more, Elapsed: time.Since(s.began),
		Known: Known{
			EpochNotes: len(t.signers), Roots: len(t.roots), Parts: s.known.parts, Slots: len(t.slots), PathSlots: t.tried(),
			SealingKeys: len(t.x) + len(t.kids), SigningKeys: len(t.ed), Wraps: len(s.known.wraps), Vaults: len(s.known.vaults), Local: len(s.known.local),
			Held: len(s.known.held.boxes), Opened: s.opened,
		},
		Findings: slices.Collect(maps.Keys(s.findings)),
	}
	for path, why := range s.unread {
		r.Unread = append(r.Unread, path+": "+why)
	}
	slices.Sort(r.Unread)
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.What, b.What))
	})
	if !s.Deep {
		r.LeftToDeep = s.leftToDeep()
	}
	return r
}

// leftToDeep says what a scan without Deep does not try.
func (s *scan) leftToDeep() []string {
	left := []string{
		"inside parts whose signature holds: roots of other epochs, nodes that do not begin at the part's own second, signing and sealing keys, wrap, vault and machine keys",
		"elsewhere: nodes whose first second was not recorded",
	}
	if s.targets.span > 1 {
		left = append(left, fmt.Sprintf("elsewhere: nodes of fewer than %d seconds, but for those that begin at two chosen seconds, and two more single seconds, of each track", s.targets.span))
	}
	if n := max(len(s.known.wraps), len(s.known.vaults), len(s.known.local)); n > maxBlobs {
		left = append(left, fmt.Sprintf("wraps, vaults and local files past the first %d of each", maxBlobs))
	}
	return left
}
