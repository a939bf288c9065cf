package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/web"
)

// releaseCmds are for those who release: two of them sign, each on a machine of
// his own.
type releaseCmds struct {
	Manifest releaseManifestCmd `cmd:"" help:"List the files of this program's web app, each with its hash."`
	Sign     releaseSignCmd     `cmd:"" help:"Sign the release note of this program's web app; the second of two adds his signature."`
}

type releaseManifestCmd struct{}

// Run prints the manifest that a release note has the hash of.
func (c *releaseManifestCmd) Run(a *app) error {
	b, err := webManifest()
	if err == nil {
		_, err = a.out.Write(b)
	}
	return err
}

func webManifest() ([]byte, error) {
	list, err := ledger.ManifestOf(web.Dist())
	if err != nil {
		return nil, err
	}
	return list.Encode()
}

type releaseSignCmd struct {
	Note    string `arg:"" placeholder:"FILE" help:"The release note; made if it is missing."`
	Key     string `required:"" placeholder:"FILE" help:"Your release key; drawn if it is missing."`
	Name    string `placeholder:"NAME" help:"The name of your key, like anna.example; used when it is drawn."`
	Version string `name:"as" placeholder:"VERSION" help:"The version to release; this program's own without it."`
	Source  string `placeholder:"COMMIT" help:"The commit it was built from; this program's own without it."`
	JSON    bool   `help:"Print your verifier key and the note's state as one JSON document."`
}

// Run signs a note of what this program has, never one that somebody else wrote:
// who adds a signature has built the same.
func (c *releaseSignCmd) Run(a *app) error {
	key, err := signkey.Open(durable.Disk{}, c.Key, c.Name)
	if err != nil {
		return advise(err, "Give --key a file that you can write to, and --name when it is new.")
	}
	text, before, err := c.text()
	if err != nil {
		return err
	}
	signed, err := addSignature(text, before, key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(durable.Disk{}, c.Note, signed, 0o644); err != nil {
		return err
	}
	if c.JSON {
		return a.json(map[string]string{"vkey": key.VKey, "note": c.Note})
	}
	a.print("releaser NAME %s", key.VKey)
	a.say("%s is signed. That line goes into the policy of who takes your releases; two of those that it names sign.", c.Note)
	return nil
}

// text is what to sign, and the note as it was; nil when there was none.
func (c *releaseSignCmd) text() (string, []byte, error) {
	manifest, err := webManifest()
	if err != nil {
		return "", nil, err
	}
	r := ledger.Release{Kind: "web", Version: c.Version, Hash: sha256.Sum256(manifest), Source: c.Source}
	before, err := os.ReadFile(c.Note)
	if errors.Is(err, fs.ErrNotExist) {
		if r.Version == "" {
			r.Version = buildVersion()
		}
		if r.Source == "" {
			r.Source = buildVersion()
		}
		return r.Text(), nil, r.Check()
	}
	if err != nil {
		return "", nil, err
	}
	head, _, _ := bytes.Cut(before, []byte("\n\n"))
	was, err := ledger.ParseRelease(string(head) + "\n")
	if err != nil {
		return "", nil, err
	}
	if was.Hash != r.Hash || r.Version != "" && r.Version != was.Version || r.Source != "" && r.Source != was.Source {
		return "", nil, advise(fmt.Errorf("%w: %s is the note of another release than this program", latchkey.ErrVerify, c.Note),
			"Build the same commit and sign with that program; or take another file for another release.")
	}
	return was.Text(), before, nil
}

// addSignature signs a note beside those who have signed it before.
func addSignature(text string, before []byte, key signkey.Key) ([]byte, error) {
	n := &note.Note{Text: text}
	if before != nil {
		_, err := note.Open(before, note.VerifierList()) // nobody's key is known here
		var unknown *note.UnverifiedNoteError
		if !errors.As(err, &unknown) {
			return nil, fmt.Errorf("%w: it is no signed note: %v", latchkey.ErrInvalid, err)
		}
		n.UnverifiedSigs = unknown.Note.UnverifiedSigs
	}
	signer, err := key.Signer()
	if err != nil {
		return nil, err
	}
	return note.Sign(n, signer)
}
