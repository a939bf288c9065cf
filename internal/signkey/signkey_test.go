package signkey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(durable.Disk{}, path, "two words"); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a name with a space: %v", err)
	}
	k, err := Open(durable.Disk{}, path, "anna.example")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Open(durable.Disk{}, path, "other.example"); err != nil || again != k {
		t.Errorf("the second time it is another key, %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	other, err := Open(durable.Disk{}, path+"2", "ben.example")
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"empty": "", "one line": k.Private, "two keys": k.Private + "\n" + other.VKey + "\n", "a line more": k.Private + "\n" + k.VKey + "\nx\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if !errors.Is(err, latchkey.ErrInvalid) || strings.Contains(err.Error(), k.Private) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
