package chain

// Note types. The first group are statements of a household's chain.
const (
	TypeGenesis  = "genesis"
	TypeMember   = "member"
	TypeUnmember = "unmember"
	TypeRekey    = "rekey"
	TypeHub      = "hub"
	TypeUnhub    = "unhub"
	TypeCamera   = "camera"
	TypeRetain   = "retain"
	TypeErase    = "erase"
	TypeAnchor   = "anchor"
	TypeGrant    = "grant"
	TypeRevoke   = "revoke"
	TypeAccess   = "access"
	TypeNotice   = "notice"

	TypeEpoch     = "epoch"
	TypeHeads     = "heads"
	TypeLogin     = "login"
	TypeCommand   = "command"
	TypeDirectory = "directory"
	TypeShare     = "share"
	TypeClaim     = "claim"
	TypeHeard     = "heard"
	TypeOpening   = "opening"
	TypeDesk      = "desk"
	TypeApplicant = "applicant"
	TypeMessage   = "message"
	TypeHealth    = "health"
)

// rule is one key of a layout: how often its line may stand there.
type rule struct {
	key      string
	min, max int // max 0: any number, sorted by bytes and distinct
}

func one(key string) rule      { return rule{key, 1, 1} }
func optional(key string) rule { return rule{key, 0, 1} }
func many(key string) rule     { return rule{key, 0, 0} }
func some(key string) rule     { return rule{key, 1, 0} }

func ones(keys ...string) []rule {
	rules := make([]rule, len(keys))
	for i, k := range keys {
		rules[i] = one(k)
	}
	return rules
}

// statement is the common head of every statement but genesis, then its own lines.
func statement(own ...rule) []rule {
	return append(ones("household", "seq", "prev", "time", "by", "salt"), own...)
}

// layoutOf returns the keys of a note type in their fixed order.
func layoutOf(noteType string) ([]rule, bool) {
	switch noteType {
	case TypeGenesis:
		return ones("seq", "time", "by", "salt", "ed", "x", "recovery", "ktag", "operator", "log"), true
	case TypeMember:
		return statement(one("ed"), one("x"), one("recovery"), one("role"), one("share"), many("track")), true
	case TypeUnmember, TypeUnhub:
		return statement(one("kid")), true
	case TypeRekey:
		return statement(one("kid"), optional("ed"), optional("x"), optional("recovery")), true
	case TypeHub:
		return statement(one("ed"), one("x")), true
	case TypeCamera:
		return statement(one("camera"), some("track")), true
	case TypeRetain:
		return statement(one("track"), one("seconds")), true
	case TypeErase:
		return statement(one("track"), one("from"), one("until")), true
	case TypeAnchor:
		return statement(many("epoch"), many("head")), true
	case TypeGrant:
		return statement(one("grant"), one("to"), optional("key"), one("purpose"), optional("terms"), some("track"),
			one("until"), many("hub"), optional("capsule"), optional("standing"), optional("release"), optional("mask")), true
	case TypeRevoke:
		return statement(one("grant")), true
	case TypeAccess:
		return statement(one("grant"), one("staff"), some("entry")), true
	case TypeNotice:
		return statement(one("staff"), one("action"), optional("object")), true
	}
	return noteLayoutOf(noteType)
}

// noteLayoutOf is layoutOf for notes that are no statements.
func noteLayoutOf(noteType string) ([]rule, bool) {
	switch noteType {
	case TypeEpoch:
		return append(ones("household", "hub", "n", "prev", "epoch", "start", "clock", "chain", "signer"),
			many("track"), one("seals"), many("last")), true
	case TypeHeads:
		return append(ones("household", "hub", "epoch", "n", "time", "chain", "log"), many("head")), true
	case TypeLogin:
		return ones("household", "by", "server", "nonce", "time"), true
	case TypeCommand:
		return ones("household", "hub", "by", "time", "nonce", "op", "args"), true
	case TypeShare:
		return ones("household", "by", "to", "set", "x", "share", "time"), true
	case TypeClaim:
		return ones("household", "by", "member", "set", "ed", "x", "recovery", "time"), true
	case TypeHeard:
		return ones("household", "by", "removals", "time"), true
	case TypeDirectory:
		return ones("household", "by", "n", "time", "names"), true
	case TypeOpening:
		return append(ones("household", "grant", "by", "time", "nonce", "access"), some("entry")), true
	case TypeDesk:
		return ones("by", "server", "nonce", "time"), true
	case TypeApplicant:
		return ones("id", "role", "ed", "x", "trained", "time"), true
	case TypeMessage:
		return append(ones("household", "ticket", "by", "time", "nonce", "text"), optional("about")), true
	case TypeHealth:
		return ones("household", "hub", "ticket", "to", "time", "report"), true
	}
	return nil, false
}

// checkLayout holds the lines of a note against the layout of its type.
func checkLayout(noteType string, layout []rule, lines []line) error {
	for _, r := range layout {
		n := 0
		for n < len(lines) && lines[n].key == r.key {
			if r.max == 0 && n > 0 && lines[n-1].value >= lines[n].value {
				return invalid("%s: %s lines are not sorted and distinct", noteType, r.key)
			}
			n++
		}
		if n < r.min || (r.max != 0 && n > r.max) {
			return invalid("%s: %d %s lines", noteType, n, r.key)
		}
		lines = lines[n:]
	}
	if len(lines) > 0 {
		return invalid("%s: %s line is unknown or out of order", noteType, lines[0].key)
	}
	return nil
}
