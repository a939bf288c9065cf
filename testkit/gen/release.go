package main

import (
	"fmt"
	"os"
	"path/filepath"

	"latchkey.dev/latchkey/testkit"
)

// writeRelease lays down one file of every format as it lies on a disk or
// crosses a wire. A release is written once, when its formats ship, and never
// again: later versions must go on reading it.
func writeRelease(dir string, h household, e testkit.Epoch, c testkit.Command) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists: a release is never written again", dir)
	}
	if err := os.MkdirAll(filepath.Join(dir, "chain"), 0o755); err != nil {
		return err
	}
	files := map[string][]byte{
		"epoch.note": []byte(e.Note.Note), "heads.note": []byte(headsVectors(h).Note.Note), "login.note": []byte(loginVectors(h).Note.Note),
		"command.note": []byte(c.Note.Note), "command.lkx": c.Sealed, "capsule.lkc": e.Capsules[0].Capsule,
		"signer.pub": e.SignerPub, "hub.pub": h.hub.pub,
	}
	for i, l := range chainOf(h).links {
		files[fmt.Sprintf("chain/%04d.note", i)] = []byte(l.signer.sign(l.text))
	}
	for _, t := range runVectors(h, e).Tracks {
		for _, p := range t.Parts {
			files[t.Kind+".parts"] = append(files[t.Kind+".parts"], p.Part...)
		}
	}
	vault := vaultVectors(h)
	files["vault.lkv"], files["recovery.lkw"] = vault.Sealed, vault.Wraps[0].Sealed
	offer := pairingVectors(h).Offers[0]
	files["offer.lko"], files["answer.lka"] = offer.OfferMail, offer.AnswerMail
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
