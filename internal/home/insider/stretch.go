package insider

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

const (
	// segment is how much of a file is looked at as one; what follows, up to
	// ahead, is read too, so that nothing is cut by the border.
	segment = 64 << 20
	ahead   = 17 << 20
	// maxDecoded bounds what one compressed stretch may expand to.
	maxDecoded = 128 << 20
	maxDepth   = 4 // encodings inside one another
	minEncoded = keySize
)

// stretch is bytes to be examined: a segment of a file, or what was decoded
// from one.
type stretch struct {
	file  string
	base  int64  // offset of data in the file; of the encoded form for decoded data
	via   string // "", or how it was decoded: "gzip", "base64 in gzip"
	data  []byte
	own   int  // windows that begin at or after own belong to the next segment
	whole bool // data is the whole file
	depth int
}

// decoded makes a stretch of what was decoded from s at an offset.
func (s stretch) decoded(how string, at int, data []byte) stretch {
	d := stretch{file: s.file, base: s.base, via: how, data: data, own: len(data), depth: s.depth + 1}
	if s.via == "" {
		d.base += int64(at)
	} else {
		d.via = how + " in " + s.via
	}
	return d
}

// where returns the offset to report for a place in the stretch.
func (s stretch) where(at int) int64 {
	if s.via == "" {
		return s.base + int64(at)
	}
	return s.base
}

// readSegments reads a file in overlapping segments. The bytes of a stretch are
// its own. Files may grow while they are read: they are examined to the end
// they had at the start.
func readSegments(path string, f func(stretch) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	for base := int64(0); base < st.Size(); base += segment {
		data := make([]byte, min(segment+ahead, st.Size()-base))
		n, err := file.ReadAt(data, base)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		s := stretch{file: path, base: base, data: data[:n], own: min(n, segment), whole: base == 0 && st.Size() <= segment}
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// expansions calls f for everything that is compressed inside s.
func (s stretch) expansions(f func(stretch)) {
	if s.depth >= maxDepth {
		return
	}
	try := func(how, magic string, open func([]byte) (io.Reader, error)) {
		each(s.data, magic, func(at int) {
			if at >= s.own {
				return
			}
			if data := expand(s.data[at:], open); len(data) >= minCanary {
				f(s.decoded(how, at, data))
			}
		})
	}
	try("gzip", "\x1f\x8b\x08", func(b []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(b)) })
	for _, magic := range []string{"\x78\x01", "\x78\x9c", "\x78\xda"} {
		try("zlib", magic, func(b []byte) (io.Reader, error) { return zlib.NewReader(bytes.NewReader(b)) })
	}
	try("zip", "PK\x03\x04", openZipEntry)
}

// expand reads what it can: a damaged end does not hide what comes before.
func expand(b []byte, open func([]byte) (io.Reader, error)) []byte {
	r, err := open(b)
	if err != nil {
		return nil
	}
	data, _ := io.ReadAll(io.LimitReader(r, maxDecoded)) // an error ends it, and that is all
	return data
}

// openZipEntry reads the entry at a local file header, without a directory.
func openZipEntry(b []byte) (io.Reader, error) {
	const head = 30
	if len(b) < head {
		return nil, io.ErrUnexpectedEOF
	}
	method := uint16(b[8]) | uint16(b[9])<<8
	from := head + int(b[26]) + int(b[27])<<8 + int(b[28]) + int(b[29])<<8
	if method != zip.Deflate || from > len(b) {
		return nil, zip.ErrAlgorithm // stored entries are read as they are
	}
	return flate.NewReader(bytes.NewReader(b[from:])), nil
}

// texts calls f for everything that is hex or base64 inside s, at every
// alignment, but for what is public when decoded as it stands.
func (s stretch) texts(public func([]byte) bool, f func(stretch)) {
	if s.depth >= maxDepth {
		return
	}
	s.runs(isHex, 2*minEncoded, func(at int, run []byte) {
		for shift := range 2 {
			out := make([]byte, len(run)/2)
			n, _ := hex.Decode(out, run[shift:shift+(len(run)-shift)/2*2])
			f(s.decoded("hex", at, out[:n]))
		}
	})
	s.runs(isBase64, (4*minEncoded+2)/3, func(at int, run []byte) {
		std := standard(run)
		for shift := range min(4, len(std)-4*minEncoded/3) {
			out := unbase64(std[shift:])
			if shift == 0 && public(out) {
				return
			}
			f(s.decoded("base64", at, out))
		}
	})
}

// standard turns URL-safe base64 digits into the standard ones.
func standard(run []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, run)
}

// unbase64 decodes as many whole bytes as the digits hold.
func unbase64(digits []byte) []byte {
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, _ := base64.RawStdEncoding.Decode(out, digits) // digits only: nothing can be wrong with them
	return out[:n]
}

// runs calls f for each longest run of bytes of a class that has at least least
// bytes. Lines of 64 or 76 characters, as PEM and MIME break them, are joined.
func (s stretch) runs(class func(byte) bool, least int, f func(at int, run []byte)) {
	data := s.data
	for at := 0; at < len(data); {
		if !class(data[at]) {
			at++
			continue
		}
		end := at
		for end < len(data) && class(data[end]) {
			end++
		}
		run, next := data[at:end], end
		if n := end - at; n == 64 || n == 76 {
			run, next = joinLines(data, at, end, class)
		}
		if len(run) >= least && at < s.own {
			f(at, run)
		}
		at = next
	}
}

// joinLines appends the lines that follow the full line data[at:end].
func joinLines(data []byte, at, end int, class func(byte) bool) (run []byte, next int) {
	width := end - at
	run = bytes.Clone(data[at:end])
	for next = end; next < len(data) && (data[next] == '\n' || data[next] == '\r'); {
		from := next
		for from < len(data) && (data[from] == '\n' || data[from] == '\r') {
			from++
		}
		to := from
		for to < len(data) && class(data[to]) {
			to++
		}
		run, next = append(run, data[from:to]...), to
		if to-from != width {
			break
		}
	}
	return run, next
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func isBase64(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || b == '+' || b == '/' || b == '-' || b == '_'
}
