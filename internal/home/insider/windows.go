package insider

// minDistinct is how many different byte values a uniform 32-byte secret has,
// but for one in ten million.
const minDistinct = 20

// region is a part whose signature holds.
type region struct {
	from, until int
	run         int // where the row of such parts that it belongs to ends
	commit      partCommit
}

// verified returns the parts of a stretch whose signatures hold under a known
// epoch note, in order.
func (s *scan) verified(st stretch) []region {
	if s.Deep {
		return nil
	}
	var out []region
	for _, p := range findParts(st.data) {
		signer, ok := s.targets.signers[p.Header.Epoch]
		if !ok || p.VerifySig(signer) != nil {
			continue
		}
		out = append(out, region{from: p.at, until: p.at + len(p.Raw), commit: commitOf(p.Part)})
	}
	for i := len(out) - 1; i >= 0; i-- {
		out[i].run = out[i].until
		if i+1 < len(out) && out[i+1].from == out[i].until {
			out[i].run = out[i+1].run
		}
	}
	return out
}

// tryWindows tries every window of a stretch that begins in [from, until).
// Windows that no uniform secret looks like are skipped: those with few
// different bytes, and text, which is decoded instead.
func (s *scan) tryWindows(w *worker, st stretch, inside []region, from, until int) {
	until = min(until, len(st.data)-keySize+1)
	if from >= until {
		return
	}
	at := 0
	w.try.staff = s.known.held.has(st.file)
	w.try.found = func(k Kind, what string) { s.found(st, k, at, what) }
	var c counter
	for i := range keySize - 1 {
		c.add(st.data[from+i])
	}
	next := firstRegion(inside, from)
	for at = from; at < until; at++ {
		c.add(st.data[at+keySize-1])
		if c.kinds < minDistinct || c.text == keySize {
			w.skipped++
		} else {
			for next < len(inside) && inside[next].until <= at {
				next++
			}
			s.tryWindow(w, st.data[at:at+keySize], inside[next:], at)
		}
		c.remove(st.data[at])
	}
}

func (s *scan) tryWindow(w *worker, window []byte, inside []region, at int) {
	w.windows++
	if len(inside) > 0 && inside[0].from <= at && at+keySize <= inside[0].run {
		w.try.sealed(window, &inside[0].commit)
		return
	}
	w.try.unlessSeen(window, w.try.all)
}

// firstRegion is the index of the first region that ends after at.
func firstRegion(inside []region, at int) int {
	lo, hi := 0, len(inside)
	for lo < hi {
		if mid := (lo + hi) / 2; inside[mid].until <= at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// counter counts the bytes in a window that slides.
type counter struct {
	n     [256]uint8
	kinds int // different values
	text  int // printable bytes
}

func (c *counter) add(b byte) {
	if c.n[b]++; c.n[b] == 1 {
		c.kinds++
	}
	if isText(b) {
		c.text++
	}
}

func (c *counter) remove(b byte) {
	if c.n[b]--; c.n[b] == 0 {
		c.kinds--
	}
	if isText(b) {
		c.text--
	}
}

func isText(b byte) bool { return b >= 0x20 && b < 0x7f || b == '\n' || b == '\r' || b == '\t' }
