// Package blobtest is what every blob store must pass, and a store that fails
// on purpose. Tests only.
package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
)

// Run holds a store, which must be empty, against the contract of blob.Store.
func Run(t *testing.T, s blob.Store) {
	t.Run("round trip", func(t *testing.T) { roundTrip(t, s) })
	t.Run("ranges", func(t *testing.T) { ranges(t, s) })
	t.Run("replace and delete", func(t *testing.T) { replace(t, s) })
	t.Run("wrong size", func(t *testing.T) { wrongSize(t, s) })
	t.Run("names", func(t *testing.T) { names(t, s) })
	t.Run("list", func(t *testing.T) { list(t, s) })
	t.Run("at once", func(t *testing.T) { atOnce(t, s) })
}

func put(t *testing.T, s blob.Store, name string, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), name, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s blob.Store, name string, off, n int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), name, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func wantBytes(t *testing.T, s blob.Store, name string, want []byte) {
	t.Helper()
	got, err := get(t, s, name, 0, int64(len(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, %v; want %d bytes", name, len(got), err, len(want))
	}
}

func wantError(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func roundTrip(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 1, 1 << 20} {
		b := bytes.Repeat([]byte{byte(n), 7, 9}, n/3+1)[:n]
		name := fmt.Sprintf("trip/%d", n)
		put(t, s, name, b)
		wantBytes(t, s, name, b)
	}
	_, err := get(t, s, "trip/none", 0, 1)
	wantError(t, err, latchkey.ErrNotFound)
	_, err = get(t, s, "no/such/place", 0, 0)
	wantError(t, err, latchkey.ErrNotFound)
}

func ranges(t *testing.T, s blob.Store) {
	put(t, s, "range/a", []byte("0123456789"))
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 10, "0123456789"}, {3, 4, "3456"}, {10, 0, ""}, {9, 1, "9"}} {
		got, err := get(t, s, "range/a", c.off, c.n)
		if err != nil || string(got) != c.want {
			t.Errorf("%d+%d: %q, %v", c.off, c.n, got, err)
		}
	}
	for _, c := range [][2]int64{{0, 11}, {10, 1}, {11, 0}, {-1, 2}, {0, -1}, {1, 1<<63 - 1}} {
		_, err := get(t, s, "range/a", c[0], c[1])
		wantError(t, err, latchkey.ErrInvalid)
	}
}

func replace(t *testing.T, s blob.Store) {
	put(t, s, "again/a", []byte("old"))
	put(t, s, "again/a", []byte("newer"))
	wantBytes(t, s, "again/a", []byte("newer"))
	for range 2 {
		if err := s.Delete(t.Context(), "again/a"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := get(t, s, "again/a", 0, 1)
	wantError(t, err, latchkey.ErrNotFound)
	if err := s.Delete(t.Context(), "never/was/here"); err != nil {
		t.Fatal(err)
	}
}

func wrongSize(t *testing.T, s blob.Store) {
	put(t, s, "size/a", []byte("old"))
	for _, n := range []int64{3, 7} {
		err := s.Put(t.Context(), "size/a", strings.NewReader("12345"), n)
		wantError(t, err, latchkey.ErrInvalid)
	}
	wantBytes(t, s, "size/a", []byte("old"))
}

func names(t *testing.T, s blob.Store) {
	for _, name := range []string{"", "/", "a/", "/a", "a//b", "..", "a/../b", "a/b/c/d/e", "A", "a.tmp", "a b", "a\x00", "ä", strings.Repeat("a", 65)} {
		wantError(t, s.Put(t.Context(), name, strings.NewReader(""), 0), latchkey.ErrInvalid)
		_, err := s.Get(t.Context(), name, 0, 0)
		wantError(t, err, latchkey.ErrInvalid)
		wantError(t, s.Delete(t.Context(), name), latchkey.ErrInvalid)
	}
}

func list(t *testing.T, s blob.Store) {
	want := []string{"l/a/00000001", "l/a/00000002", "l/ab/00000001", "l/b/00000001"}
	for _, name := range slices.Backward(want) {
		put(t, s, name, []byte(name))
	}
	for prefix, want := range map[string][]string{
		"l/": want, "l/a": want[:3], "l/a/": want[:2], "l/b/00000001": want[3:], "l/none": nil, "zz/": nil,
	} {
		var got []string
		for info, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Size != int64(len(info.Name)) || info.Modified.IsZero() {
				t.Errorf("%+v", info)
			}
			got = append(got, info.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: %v, want %v", prefix, got, want)
		}
	}
	for range s.List(t.Context(), "l/") {
		break // a caller may stop
	}
}

func atOnce(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name, b := fmt.Sprintf("once/%02d", i), bytes.Repeat([]byte{byte(i)}, 5000)
			for range 10 {
				if err := s.Put(t.Context(), name, bytes.NewReader(b), int64(len(b))); err != nil {
					t.Error(err)
				}
				if got, err := get(t, s, name, 0, 5000); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
}
