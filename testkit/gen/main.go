// Command gen makes the golden vectors of testkit. It builds every object
// straight from the protocol with the standard library: it shares no code with
// the packages that the vectors test, so that a mistake has to be made twice
// to stay unseen.
//
// All values are drawn from fixed labels, so that a second run changes
// nothing; only the HPKE examples are randomised, and are kept unless -hpke is
// given.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("out", "vectors", "folder of the vector files")
	fresh := flag.Bool("hpke", false, "make new HPKE examples")
	release := flag.String("release", "", "also write one sample of every format to this new folder")
	flag.Parse()
	if err := run(*dir, *fresh, *release); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes every vector file to dir, and samples to release unless it is empty.
func run(dir string, fresh bool, release string) error {
	old := keeper{dir: dir, fresh: fresh}
	household := newHousehold()
	capsule, err := capsuleVectors(old)
	if err != nil {
		return err
	}
	command, err := commandVectors(old, household)
	if err != nil {
		return err
	}
	letter, err := letterVectors(old, household)
	if err != nil {
		return err
	}
	desk, err := deskVectors(old)
	if err != nil {
		return err
	}
	epoch, err := epochVectors(old, household)
	if err != nil {
		return err
	}
	for name, v := range map[string]any{
		"statements": statementVectors(household),
		"overlay":    overlayVectors(household),
		"directory":  directoryVectors(household),
		"notes":      noteVectors(),
		"epoch":      epoch,
		"heads":      headsVectors(household),
		"login":      loginVectors(household),
		"command":    command,
		"desk":       desk,
		"capsule":    capsule,
		"code":       codeVectors(),
		"contact":    contactVectors(household),
		"ledger":     ledgerVectors(),
		"letter":     letter,
		"link":       linkVectors(),
		"vault":      vaultVectors(household),
		"pairing":    pairingVectors(household),
		"place":      placeVectors(household),
		"part":       partVectors(epoch, household),
		"run":        runVectors(household, epoch),
		"records":    recordVectors(),
	} {
		if err := write(filepath.Join(dir, name+".json"), v); err != nil {
			return err
		}
	}
	if release == "" {
		return nil
	}
	return writeRelease(release, household, epoch, command)
}

func write(path string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// keeper gives back the randomised examples of the files at hand.
type keeper struct {
	dir   string
	fresh bool
}

// sealed returns the field "sealed" of a file, or nil to make a new one.
func (k keeper) sealed(name string) ([]byte, error) {
	var v struct {
		Sealed hexBytes `json:"sealed"`
	}
	err := k.read(name, &v)
	return v.Sealed, err
}

// capsules returns the capsules of epoch.json by kid.
func (k keeper) capsules() (map[string][]byte, error) {
	var v struct {
		Capsules []struct{ Kid, Capsule hexBytes }
	}
	if err := k.read("epoch", &v); err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, c := range v.Capsules {
		out[string(c.Kid)] = c.Capsule
	}
	return out, nil
}

// read fills v from a file, and leaves it alone if there is none to keep.
func (k keeper) read(name string, v any) error {
	if k.fresh {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(k.dir, name+".json"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
