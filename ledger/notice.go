package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// A Notice is a public statement of the operator about itself: that from its
// place in the log on something is what the hash says, such as the rules of its
// desk.
type Notice struct {
	What string        // 1 to 64 of a–z, 0–9 and -
	Hash latchkey.Hash // of it
}

const noticeType = notePrefix + "notice\n"

// Text returns what is signed.
func (n Notice) Text() string {
	return fmt.Sprintf("%swhat %s\nhash %s\n", noticeType, n.What, latchkey.B64(n.Hash[:]))
}

// ParseNotice reads the text of a notice strictly: it is what Text returns.
func ParseNotice(text string) (Notice, error) {
	rest, ok := strings.CutPrefix(text, noticeType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 3 {
		return Notice{}, invalid("notice", "want its type and two lines")
	}
	what, isWhat := strings.CutPrefix(lines[0], "what ")
	hash64, isHash := strings.CutPrefix(lines[1], "hash ")
	hash, _ := base64.StdEncoding.DecodeString(hash64)
	n := Notice{What: what}
	copy(n.Hash[:], hash)
	if !isWhat || !isHash || !StaffName(what) || n.Text() != text {
		return Notice{}, invalid("notice", "a value is not in its one form")
	}
	return n, nil
}

// Notice reads a signed notice and holds it against the policy: its operator has
// signed it.
func (p *Policy) Notice(raw []byte) (Notice, error) {
	n, err := openNote("notice", raw, []note.Verifier{p.Operator.verifier})
	if err != nil {
		return Notice{}, err
	}
	if !signedBy(n, p.Operator.verifier) {
		return Notice{}, broken("notice", "the operator has not signed it")
	}
	return ParseNotice(n.Text)
}
