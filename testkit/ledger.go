package testkit

// Ledger is vectors/ledger.json: the public log (docs/spec/log.md).
type Ledger struct {
	Doc
	KTag         Hex                  `json:"ktag"`
	Tags         []TagVector          `json:"tags"`
	Entries      []LogEntryVector     `json:"entries"`
	BadEntries   []Reject             `json:"bad_entries"`
	Sets         []SetVector          `json:"sets"`
	BrokenProofs []SetProofVector     `json:"broken_proofs"`
	Policy       string               `json:"policy"`
	BadPolicies  []NamedText          `json:"bad_policies"`
	Checkpoints  []CheckpointVector   `json:"checkpoints"`
	Consistency  []ConsistencyVector  `json:"consistency"`
	Inclusion    []InclusionVector    `json:"inclusion"`
	SetNotes     []SetNoteVector      `json:"set_notes"`
	Completeness []CompletenessVector `json:"completeness"`
	Releases     []ReleaseVector      `json:"releases"`
	Manifests    []ManifestVector     `json:"manifests"`
	Staff        []StaffVector        `json:"staff"`
	Notices      []NoticeVector       `json:"notices"`
	Legals       []LegalVector        `json:"legals"`
	Reports      []ReportVector       `json:"reports"`
}

// NoticeVector is a public notice of the operator.
type NoticeVector struct {
	Name  string `json:"name"`
	Note  string `json:"note"`
	Holds bool   `json:"holds"`
	What  string `json:"what"`
	Hash  Hex    `json:"hash"`
}

// LegalVector is a public note of a request of an authority.
type LegalVector struct {
	Name    string `json:"name"`
	Note    string `json:"note"`
	Holds   bool   `json:"holds"`
	Number  uint64 `json:"number"`
	Kind    string `json:"kind"`
	Country string `json:"country"`
	State   string `json:"state"`
	Time    int64  `json:"time"`
}

// ReportVector is what is counted from entries of a log, in their order; Holds:
// they do not contradict each other.
type ReportVector struct {
	Name      string                    `json:"name"`
	Entries   []Hex                     `json:"entries"`
	Holds     bool                      `json:"holds"`
	Requests  map[string]map[string]int `json:"requests"` // by kind and state, those that are not zero
	Countries map[string]int            `json:"countries"`
	Staff     map[string]int            `json:"staff"` // by role, those that are not zero
	Releases  int                       `json:"releases"`
	Rules     []Hex                     `json:"rules"`
}

// StaffVector is a staff note with its proof; Holds: at Now, under the policy.
type StaffVector struct {
	Name    string `json:"name"`
	Note    string `json:"note"`
	Proof   string `json:"proof"`
	Now     int64  `json:"now"`
	Holds   bool   `json:"holds"`
	ID      string `json:"id"`
	Role    string `json:"role"`
	Ed      Hex    `json:"ed"`
	X       Hex    `json:"x"`
	Trained int64  `json:"trained"`
	From    int64  `json:"from"`
	Until   int64  `json:"until"`
}

// ReleaseVector is a release note with its proof.
type ReleaseVector struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	Holds   bool   `json:"holds"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
	Hash    Hex    `json:"hash"`
	Source  string `json:"source"`
	Index   int64  `json:"index"`
}

// ManifestVector is the list of a release's files; Holds: in its one form.
type ManifestVector struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Holds bool   `json:"holds"`
	Files int    `json:"files"`
}

// TagVector is the tag of one statement.
type TagVector struct {
	Seq uint64 `json:"seq"`
	Tag Hex    `json:"tag"`
}

// LogEntryVector is an entry; Note is empty in a household's leaf.
type LogEntryVector struct {
	Entry Hex    `json:"entry"`
	Tag   Hex    `json:"tag"`
	Value Hex    `json:"value"`
	Note  string `json:"note"`
}

// NamedText is a text that must be refused.
type NamedText struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// SetVector is a set with proofs.
type SetVector struct {
	Elements []LogElement     `json:"elements"`
	Root     Hex              `json:"root"`
	Proofs   []SetProofVector `json:"proofs"`
}

// LogElement is a tag with the hash of its statement.
type LogElement struct {
	Tag   Hex `json:"tag"`
	Value Hex `json:"value"`
}

// SetProofVector is a proof about a tag; Value is empty when it is absent.
type SetProofVector struct {
	Name  string `json:"name"`
	Root  Hex    `json:"root"`
	Tag   Hex    `json:"tag"`
	Proof Hex    `json:"proof"`
	Value Hex    `json:"value"`
}

// CheckpointVector is a signed checkpoint.
type CheckpointVector struct {
	Name      string `json:"name"`
	Note      string `json:"note"`
	Holds     bool   `json:"holds"`
	Size      int64  `json:"size"`
	Root      Hex    `json:"root"`
	Witnessed int64  `json:"witnessed"`
}

// ConsistencyVector is a proof that one tree begins with another.
type ConsistencyVector struct {
	Name    string `json:"name"`
	OldSize int64  `json:"old_size"`
	OldRoot Hex    `json:"old_root"`
	Size    int64  `json:"size"`
	Root    Hex    `json:"root"`
	Hashes  []Hex  `json:"hashes"`
	Holds   bool   `json:"holds"`
}

// InclusionVector is a tlog-proof of an entry.
type InclusionVector struct {
	Name  string `json:"name"`
	Entry Hex    `json:"entry"`
	Proof string `json:"proof"`
	Holds bool   `json:"holds"`
}

// SetNoteVector is a signed set note.
type SetNoteVector struct {
	Name  string `json:"name"`
	Note  string `json:"note"`
	Holds bool   `json:"holds"`
	Size  int64  `json:"size"`
	Count int64  `json:"count"`
	Root  Hex    `json:"root"`
	Time  int64  `json:"time"`
}

// CompletenessVector is a completeness file.
type CompletenessVector struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	Holds bool   `json:"holds"`
	Seq   uint64 `json:"seq"`
	Head  Hex    `json:"head"`
	At    int64  `json:"at"`
}
