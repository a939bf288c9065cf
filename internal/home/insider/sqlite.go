package insider

import (
	"bytes"
	"os"
)

const (
	sqliteMagic = "SQLite format 3\x00"
	walHead     = 32
	walFrame    = 24
	leafTable   = 0x0d
	leafIndex   = 0x0a
)

// sqliteFile is a database as it is on the disk, with the newest frame of its
// write-ahead log over each page. It is read to put together the values that
// SQLite spreads over overflow pages; everything else is found in the raw bytes.
type sqliteFile struct {
	db     []byte
	size   int // of a page
	usable int
	wal    map[uint32][]byte
}

// openSQLite returns nil if data, the whole of the file at path, is no database.
func openSQLite(path string, data []byte) *sqliteFile {
	if !bytes.HasPrefix(data, []byte(sqliteMagic)) || len(data) < 100 {
		return nil
	}
	size := int(data[16])<<8 | int(data[17])
	if size == 1 {
		size = 1 << 16
	}
	if size < 512 {
		return nil
	}
	d := &sqliteFile{db: data, size: size, usable: size - int(data[20]), wal: map[uint32][]byte{}}
	if wal, err := os.ReadFile(path + "-wal"); err == nil {
		d.readWAL(wal)
	}
	return d
}

func (d *sqliteFile) readWAL(wal []byte) {
	for at := walHead; at+walFrame+d.size <= len(wal); at += walFrame + d.size {
		d.wal[be32(wal[at:])] = wal[at+walFrame:][:d.size]
	}
}

// page returns a page by its number, which begins at 1.
func (d *sqliteFile) page(n uint32) []byte {
	if p, ok := d.wal[n]; ok {
		return p
	}
	at := (int64(n) - 1) * int64(d.size)
	if n == 0 || at+int64(d.size) > int64(len(d.db)) {
		return nil
	}
	return d.db[at:][:d.size]
}

// spilled calls f for each payload that continues on overflow pages, with the
// offset of its page.
func (d *sqliteFile) spilled(f func(at int, payload []byte)) {
	last := uint32(len(d.db) / d.size)
	for n := range d.wal {
		last = max(last, n)
	}
	for n := uint32(1); n <= last; n++ {
		p := d.page(n)
		if p == nil {
			continue
		}
		head := 0
		if n == 1 {
			head = 100
		}
		if p[head] != leafTable && p[head] != leafIndex {
			continue
		}
		cells := int(p[head+3])<<8 | int(p[head+4])
		for i := range cells {
			at := head + 8 + 2*i
			if at+2 > len(p) {
				break
			}
			if payload := d.payload(p, int(p[at])<<8|int(p[at+1]), p[head] == leafTable); payload != nil {
				f((int(n)-1)*d.size, payload)
			}
		}
	}
}

// payload returns the payload of a cell if part of it is on overflow pages.
func (d *sqliteFile) payload(p []byte, at int, table bool) []byte {
	total, at := varint(p, at)
	if table {
		_, at = varint(p, at)
	}
	most := (d.usable-12)*64/255 - 23
	if table {
		most = d.usable - 35
	}
	if total <= uint64(most) || total > uint64(len(d.db)+len(d.wal)*d.size) {
		return nil
	}
	least := (d.usable-12)*32/255 - 23
	local := least + (int(total)-least)%(d.usable-4)
	if local > most {
		local = least
	}
	if at+local+4 > len(p) {
		return nil
	}
	out := append(make([]byte, 0, total), p[at:at+local]...)
	next := be32(p[at+local:])
	for hops := 0; next != 0 && len(out) < int(total) && hops < 1<<20; hops++ {
		o := d.page(next)
		if o == nil {
			break
		}
		out = append(out, o[4:min(d.usable, 4+int(total)-len(out))]...)
		next = be32(o)
	}
	return out
}

// varint reads SQLite's variable-length number: up to eight bytes of seven
// bits, most significant first, and a ninth of eight bits.
func varint(p []byte, at int) (v uint64, next int) {
	for i := range 9 {
		if at >= len(p) {
			return 0, len(p)
		}
		b := p[at]
		at++
		if i == 8 {
			return v<<8 | uint64(b), at
		}
		v = v<<7 | uint64(b&0x7f)
		if b < 0x80 {
			break
		}
	}
	return v, at
}
