package testkit

// The types of the vector files. Every file begins with "about" and "fields",
// which say in words what the rest means.

// Doc is the beginning of every vector file.
type Doc struct {
	About  string            `json:"about"`
	Fields map[string]string `json:"fields"`
}

// Reject is a malformed input that a parser must refuse.
type Reject struct {
	Name  string `json:"name"`
	Bytes Hex    `json:"bytes"`
}

// Statements is vectors/statements.json.
type Statements struct {
	Doc
	Now       int64             `json:"now"`
	Household Hex               `json:"household"`
	Seeds     map[string]Hex    `json:"seeds"`
	Chain     []StatementVector `json:"chain"`
	Reject    []ChainReject     `json:"reject"`
	Grant     NoteVector        `json:"grant"`
}

// StatementVector is one accepted statement and the state after it.
type StatementVector struct {
	Name  string      `json:"name"`
	Type  string      `json:"type"`
	Note  string      `json:"note"`
	Hash  Hex         `json:"hash"`
	State StateVector `json:"state"`
}

// StateVector is what a chain amounts to; all lists are sorted by their first field.
type StateVector struct {
	Seq        uint64            `json:"seq"`
	Hash       Hex               `json:"hash"`
	Members    []MemberVector    `json:"members"`
	Hubs       []Hex             `json:"hubs"`
	Cameras    []CameraVector    `json:"cameras"`
	RetainAll  uint64            `json:"retain_all"`
	Retain     []RetainVector    `json:"retain"`
	Erased     []RangeVector     `json:"erased"`
	Grants     []GrantVector     `json:"grants"`
	Recipients []RecipientVector `json:"recipients"`
}

// MemberVector is a member after a statement.
type MemberVector struct {
	Kid    Hex    `json:"kid"`
	Role   string `json:"role"`
	Share  bool   `json:"share"`
	All    bool   `json:"all"`
	Tracks []Hex  `json:"tracks"`
	Past   []Hex  `json:"past"`
	PastEd []Hex  `json:"past_ed"`
	Seq    uint64 `json:"seq"`
}

// RetainVector says how long one track is kept.
type RetainVector struct {
	Track   Hex    `json:"track"`
	Seconds uint64 `json:"seconds"`
}

// RangeVector is footage of one track in [from, until).
type RangeVector struct {
	Track Hex   `json:"track"`
	From  int64 `json:"from"`
	Until int64 `json:"until"`
}

// GrantVector is a grant that was given.
type GrantVector struct {
	Grant    Hex           `json:"grant"`
	By       Hex           `json:"by"`
	To       Hex           `json:"to"`
	Kind     string        `json:"kind"`
	Tracks   []RangeVector `json:"tracks"`
	Until    int64         `json:"until"`
	Capsule  Hex           `json:"capsule"`
	Standing bool          `json:"standing"`
	Release  Hex           `json:"release"`
	Mask     Hex           `json:"mask"`
	Seq      uint64        `json:"seq"`
	Revoked  bool          `json:"revoked"`
}

// CameraVector is a declared camera.
type CameraVector struct {
	Camera Hex           `json:"camera"`
	Tracks []TrackVector `json:"tracks"`
}

// TrackVector is a declared track.
type TrackVector struct {
	Track Hex    `json:"track"`
	Kind  string `json:"kind"`
}

// RecipientVector is whom epochs are sealed to.
type RecipientVector struct {
	Kid     Hex           `json:"kid"`
	Tracks  []Hex         `json:"tracks"`
	Windows []RangeVector `json:"windows"`
}

// ChainReject is a note that Apply must refuse after the first After statements.
type ChainReject struct {
	Name  string `json:"name"`
	After int    `json:"after"`
	Now   int64  `json:"now"`
	Error string `json:"error"`
	Note  string `json:"note"`
}

// Overlay is vectors/overlay.json.
type Overlay struct {
	Doc
	Now   int64         `json:"now"`
	Chain []string      `json:"chain"`
	Cases []OverlayCase `json:"cases"`
	Fits  []FitVector   `json:"fits"`
}

// OverlayCase begins after Overlay.Chain with an empty overlay.
type OverlayCase struct {
	Name  string        `json:"name"`
	Steps []OverlayStep `json:"steps"`
}

// OverlayStep applies a statement, or adds an early removal, which Error (if
// not empty) says must fail. What follows holds after it.
type OverlayStep struct {
	Apply   string `json:"apply,omitempty"`
	Early   string `json:"early,omitempty"`
	Error   string `json:"error,omitempty"`
	Members []Hex  `json:"members"`
	Hubs    []Hex  `json:"hubs"`
	Revoked []Hex  `json:"revoked"`
	Held    int    `json:"held"`
}

// FitVector is a list of seal lines' kids at the state after Overlay.Chain.
type FitVector struct {
	Name    string `json:"name"`
	Got     []Hex  `json:"got"`
	OK      bool   `json:"ok"`
	LeftOut []Hex  `json:"left_out"`
}

// Directory is vectors/directory.json.
type Directory struct {
	Doc
	Seed      Hex            `json:"seed"`
	Household Hex            `json:"household"`
	By        Hex            `json:"by"`
	N         uint64         `json:"n"`
	Time      int64          `json:"time"`
	Names     NamesVector    `json:"names"`
	JSON      string         `json:"json"`
	Note      NoteVector     `json:"note"`
	Refused   []RejectedNote `json:"refused"`
	Rejects   []RejectedNote `json:"reject"`
}

// NamesVector is what a directory says; people and hubs by hex kid.
type NamesVector struct {
	Household string            `json:"household"`
	People    map[string]string `json:"people"`
	Hubs      map[string]string `json:"hubs"`
}

// NoteVector is one signed note with its hash and signing key.
type NoteVector struct {
	Text   string `json:"text"`
	Note   string `json:"note"`
	Hash   Hex    `json:"hash"`
	Signer Hex    `json:"signer"`
	VKey   string `json:"vkey"`
}

// Notes is vectors/notes.json: the container.
type Notes struct {
	Doc
	Seed    Hex        `json:"seed"`
	Valid   NoteVector `json:"valid"`
	Extra   string     `json:"extra_signature"`
	Forged  []Forged   `json:"forged"`
	Rejects []Reject   `json:"reject"`
}

// Forged is a note that parses and must not verify under Notes.Valid.Signer.
type Forged struct {
	Name string `json:"name"`
	Note string `json:"note"`
}

// Epoch is vectors/epoch.json.
type Epoch struct {
	Doc
	HubSeed     Hex            `json:"hub_seed"`
	SignerSeed  Hex            `json:"signer_seed"`
	Household   Hex            `json:"household"`
	Hub         Hex            `json:"hub"`
	N           uint64         `json:"n"`
	Prev        Hex            `json:"prev"`
	Epoch       Hex            `json:"epoch"`
	Start       int64          `json:"start"`
	ClockSynced bool           `json:"clock_synced"`
	ChainSeq    uint64         `json:"chain_seq"`
	ChainHash   Hex            `json:"chain_hash"`
	ProofTime   int64          `json:"proof_time"`
	SignerPub   Hex            `json:"signer_pub"`
	Roots       []RootVector   `json:"roots"`
	Capsules    []EpochCapsule `json:"capsules"`
	SealLines   []SealVector   `json:"seal_lines"`
	Seals       Hex            `json:"seals"`
	Last        []LastVector   `json:"last"`
	Note        NoteVector     `json:"note"`
	First       NoteVector     `json:"first"`
	Rejects     []RejectedNote `json:"reject"`
}

// RootVector is the root of a track's tree and its commitment.
type RootVector struct {
	Track  Hex `json:"track"`
	Root   Hex `json:"root"`
	Commit Hex `json:"commit"`
}

// EpochCapsule is what one recipient gets.
type EpochCapsule struct {
	Kid     Hex           `json:"kid"`
	XSeed   Hex           `json:"x_seed"`
	Entries []EntryVector `json:"entries"`
	Capsule Hex           `json:"capsule"`
}

// SealVector is one seal line.
type SealVector struct {
	Kid  Hex    `json:"kid"`
	Hash Hex    `json:"hash"`
	Line string `json:"line"`
}

// LastVector is a final head of the epoch before.
type LastVector struct {
	Track Hex    `json:"track"`
	Epoch Hex    `json:"epoch"`
	Seq   uint32 `json:"seq"`
	Hash  Hex    `json:"hash"`
}

// RejectedNote is a correctly signed note whose text no parser may accept.
type RejectedNote struct {
	Name string `json:"name"`
	Note string `json:"note"`
}

// Heads is vectors/heads.json.
type Heads struct {
	Doc
	SignerSeed Hex            `json:"signer_seed"`
	Household  Hex            `json:"household"`
	Hub        Hex            `json:"hub"`
	Epoch      Hex            `json:"epoch"`
	N          uint64         `json:"n"`
	Time       int64          `json:"time"`
	ChainSeq   uint64         `json:"chain_seq"`
	ChainHash  Hex            `json:"chain_hash"`
	ProofTime  int64          `json:"proof_time"`
	LogSize    uint64         `json:"log_size"`
	LogRoot    Hex            `json:"log_root"`
	Heads      []HeadVector   `json:"heads"`
	Note       NoteVector     `json:"note"`
	Rejects    []RejectedNote `json:"reject"`
}

// HeadVector is the newest part of a track.
type HeadVector struct {
	Track Hex    `json:"track"`
	Seq   uint32 `json:"seq"`
	Hash  Hex    `json:"hash"`
}

// Login is vectors/login.json.
type Login struct {
	Doc
	Seed      Hex            `json:"seed"`
	Household Hex            `json:"household"`
	By        Hex            `json:"by"`
	Server    string         `json:"server"`
	Nonce     Hex            `json:"nonce"`
	Time      int64          `json:"time"`
	Note      NoteVector     `json:"note"`
	Rejects   []RejectedNote `json:"reject"`
}

// Command is vectors/command.json.
type Command struct {
	Doc
	Seed      Hex            `json:"seed"`
	Household Hex            `json:"household"`
	Hub       Hex            `json:"hub"`
	By        Hex            `json:"by"`
	Time      int64          `json:"time"`
	Nonce     Hex            `json:"nonce"`
	Op        string         `json:"op"`
	Args      string         `json:"args"`
	Note      NoteVector     `json:"note"`
	HubXSeed  Hex            `json:"hub_x_seed"`
	HubXPub   Hex            `json:"hub_x_pub"`
	HubXKid   Hex            `json:"hub_x_kid"`
	Info      Hex            `json:"info"`
	Sealed    Hex            `json:"sealed"`
	Unsealed  []Reject       `json:"must_not_open"`
	Rejects   []RejectedNote `json:"reject"`
}

// Capsule is vectors/capsule.json.
type Capsule struct {
	Doc
	Entries   []EntryVector `json:"entries"`
	Plaintext Hex           `json:"plaintext"`
	Empty     Hex           `json:"empty"`
	XSeed     Hex           `json:"x_seed"`
	XPub      Hex           `json:"x_pub"`
	Kid       Hex           `json:"kid"`
	Household Hex           `json:"household"`
	Scope     Hex           `json:"scope"`
	Info      Hex           `json:"info"`
	Sealed    Hex           `json:"sealed"`
	Hash      Hex           `json:"hash"`
	Unsealed  []Reject      `json:"must_not_open"`
	Rejects   []Reject      `json:"reject"`
}

// EntryVector is one entry of a capsule.
type EntryVector struct {
	Epoch Hex    `json:"epoch"`
	Track Hex    `json:"track"`
	Level uint8  `json:"level"`
	Index uint32 `json:"index"`
	Key   Hex    `json:"key"`
}

// Codes is vectors/code.json.
type Codes struct {
	Doc
	Codes   []CodeVector `json:"codes"`
	Rejects []CodeReject `json:"reject"`
}

// CodeVector is one code with what is derived from it.
type CodeVector struct {
	Raw             Hex      `json:"raw"`
	Check           Hex      `json:"check"`
	Code            string   `json:"code"`
	Typed           []string `json:"typed"`
	PairingSecret   Hex      `json:"pairing_secret"`
	Rendezvous      Hex      `json:"rendezvous"`
	RecoverySecret  Hex      `json:"recovery_secret"`
	RecoveryID      Hex      `json:"recovery_id"`
	RecoverySignPub Hex      `json:"recovery_sign_pub"`
}

// CodeReject is text that is no code.
type CodeReject struct {
	Name string `json:"name"`
	Code string `json:"code"`
}

// Vault is vectors/vault.json.
type Vault struct {
	Doc
	VK        Hex          `json:"vk"`
	Version   uint32       `json:"version"`
	Member    Hex          `json:"member"`
	Salt      Hex          `json:"salt"`
	Key       Hex          `json:"key"`
	JSON      string       `json:"json"`
	Sealed    Hex          `json:"sealed"`
	EdSeed    Hex          `json:"ed_seed"`
	XSeeds    []Hex        `json:"x_seeds"`
	KTag      Hex          `json:"ktag"`
	Household Hex          `json:"household"`
	Seq       uint64       `json:"seq"`
	Hash      Hex          `json:"hash"`
	UsedJSON  string       `json:"used_json"`
	Used      Hex          `json:"used_sealed"`
	Policy    string       `json:"policy"`
	Unsealed  []Reject     `json:"must_not_open"`
	Wraps     []WrapVector `json:"wraps"`
	WrapBad   []Reject     `json:"reject_wrap"`
}

// WrapVector is VK wrapped under one secret.
type WrapVector struct {
	Kind       uint8  `json:"kind"`
	Credential Hex    `json:"credential"`
	Secret     Hex    `json:"secret"`
	Code       string `json:"code"`
	Salt       Hex    `json:"salt"`
	Key        Hex    `json:"key"`
	Sealed     Hex    `json:"sealed"`
}

// Letter is vectors/letter.json: LKS1.
type Letter struct {
	Doc
	XSeed     Hex      `json:"x_seed"`
	XPub      Hex      `json:"x_pub"`
	Kid       Hex      `json:"kid"`
	Household Hex      `json:"household"`
	Text      string   `json:"text"`
	Info      Hex      `json:"info"`
	Sealed    Hex      `json:"sealed"`
	Unsealed  []Reject `json:"must_not_open"`
}

// Pairing is vectors/pairing.json.
type Pairing struct {
	Doc
	Code      string          `json:"code"`
	Secret    Hex             `json:"pairing_secret"`
	Offers    []OfferVector   `json:"offers"`
	Household Hex             `json:"household"`
	Rejects   []PairingReject `json:"reject"`
}

// Link is vectors/link.json.
type Link struct {
	Doc
	Secret    Hex                `json:"secret"`
	Fragment  string             `json:"fragment"`
	Person    string             `json:"person_fragment"`
	Card      string             `json:"card"` // of X
	Digits    string             `json:"card_digits"`
	Fragments []FragmentReject   `json:"reject_fragments"`
	Kid       Hex                `json:"kid"`
	X         Hex                `json:"x"`
	Text      string             `json:"text"`
	MAC       Hex                `json:"mac"`
	Words     []LinkWordsVector  `json:"words"`
	Rejects   []LinkWordsRejects `json:"reject"`
}

// FragmentReject is the fragment of no link.
type FragmentReject struct {
	Name     string `json:"name"`
	Fragment string `json:"fragment"`
}

// LinkWordsVector are words, their one JSON and a sealed example.
type LinkWordsVector struct {
	From   string `json:"from"`
	Camera string `json:"camera"`
	Note   string `json:"note"`
	Zone   string `json:"zone"`
	Policy Hex    `json:"policy"` // a hash
	JSON   string `json:"json"`
	Sealed Hex    `json:"sealed"` // LKT1
}

// LinkWordsRejects is an object that must be refused under Link.Secret.
type LinkWordsRejects struct {
	Name   string `json:"name"`
	Sealed Hex    `json:"sealed"`
}

// Place is vectors/place.json.
type Place struct {
	Doc
	Code    string        `json:"code"`
	Offer   Hex           `json:"offer"`
	Places  []PlaceVector `json:"places"`
	Rejects []PlaceReject `json:"reject"`
}

// PlaceVector is one origin and its mail.
type PlaceVector struct {
	Origin string `json:"origin"`
	Mail   Hex    `json:"mail"`
}

// PlaceReject is a mail that must be refused under Place.Code and Place.Offer.
type PlaceReject struct {
	Name string `json:"name"`
	Mail Hex    `json:"mail"`
}

// OfferVector is one joiner's offer and the answer to it.
type OfferVector struct {
	Role       uint8  `json:"role"`
	Ed         Hex    `json:"ed"`
	X          Hex    `json:"x"`
	Recovery   Hex    `json:"recovery"`
	Nonce      Hex    `json:"nonce"`
	Offer      Hex    `json:"offer"`
	OfferMAC   Hex    `json:"offer_mac"`
	OfferMail  Hex    `json:"offer_mail"`
	Seq        uint64 `json:"seq"`
	Hash       Hex    `json:"hash"`
	Answer     Hex    `json:"answer"`
	AnswerMAC  Hex    `json:"answer_mac"`
	AnswerMail Hex    `json:"answer_mail"`
	SafetyCode string `json:"safety_code"`
	Digits     string `json:"digits"`
}

// PairingReject is a mail that must be refused under Pairing.Code; an answer
// is held against the first offer.
type PairingReject struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Mail Hex    `json:"mail"`
}

// Run is vectors/run.json.
type Run struct {
	Doc
	SignerSeed Hex             `json:"signer_seed"`
	SignerPub  Hex             `json:"signer_pub"`
	EpochHash  Hex             `json:"epoch_note_hash"`
	Epoch      Hex             `json:"epoch"`
	Tracks     []TrackRun      `json:"tracks"`
	Broken     []BrokenRun     `json:"broken"`
	Unopenable []UnopenableRun `json:"must_not_open"`
}

// TrackRun is the whole of one track in one epoch.
type TrackRun struct {
	Track Hex         `json:"track"`
	Kind  string      `json:"kind"`
	Root  Hex         `json:"root"`
	Parts []RunVector `json:"parts"`
}

// RunVector is one part with everything that went into it.
type RunVector struct {
	Slot    uint32         `json:"slot"`
	Seq     uint32         `json:"seq"`
	Flags   uint8          `json:"flags"`
	Records []RecordVector `json:"records"`
	Random  Hex            `json:"random"`
	Leaf    Hex            `json:"leaf"`
	Inner   Hex            `json:"inner_sha256"`
	Hash    Hex            `json:"hash"`
	Part    Hex            `json:"part"`
}

// RecordVector is one record of a plaintext.
type RecordVector struct {
	Type uint8 `json:"type"`
	Data Hex   `json:"data"`
}

// BrokenRun is a run whose parts all parse and which must not verify.
type BrokenRun struct {
	Name  string `json:"name"`
	Prev  Hex    `json:"prev"`
	Parts []Hex  `json:"parts"`
}

// UnopenableRun verifies as a run and must be refused by an opener that holds Root.
type UnopenableRun struct {
	Name  string `json:"name"`
	Track Hex    `json:"track"`
	Root  Hex    `json:"root"`
	Prev  Hex    `json:"prev"`
	Parts []Hex  `json:"parts"`
}

// Records is vectors/records.json.
type Records struct {
	Doc
	Valid   []InnerVector  `json:"valid"`
	Padding []PaddedVector `json:"padded"`
	Rejects []Reject       `json:"reject"`
}

// InnerVector is a plaintext and its records.
type InnerVector struct {
	Inner   Hex            `json:"inner"`
	Records []RecordVector `json:"records"`
}

// PaddedVector says to what length n bytes of records are padded.
type PaddedVector struct {
	Kind   string `json:"kind"`
	Len    int    `json:"len"`
	Padded int    `json:"padded"`
}

// PartBytes is vectors/part.json: single parts that no parser may accept.
type PartBytes struct {
	Doc
	Valid   Hex      `json:"valid"`
	Rejects []Reject `json:"reject"`
}

// Desk is vectors/desk.json.
type Desk struct {
	Doc
	Now           int64             `json:"now"`
	Household     Hex               `json:"household"`
	Seeds         map[string]Hex    `json:"seeds"`
	Chain         []StatementVector `json:"chain"`
	Reject        []ChainReject     `json:"reject"`
	Opening       NoteVector        `json:"opening"`
	RejectOpening []RejectedNote    `json:"reject_opening"`
	Desk          NoteVector        `json:"desk"`
	RejectDesk    []RejectedNote    `json:"reject_desk"`
	Applicant     NoteVector        `json:"applicant"`
	Message       NoteVector        `json:"message"`
	Health        NoteVector        `json:"health"`
	RejectLetters []RejectedNote    `json:"reject_letters"`
	Grant         Hex               `json:"grant"`
	Epoch         Hex               `json:"epoch"`
	HubX          Hex               `json:"hub_x"`
	AgentX        Hex               `json:"agent_x"`
	M             Hex               `json:"m"`
	Entries       []MaskVector      `json:"entries"`
	MaskInfo      Hex               `json:"mask_info"`
	SealedMask    Hex               `json:"sealed_mask"`
	BadMask       []Reject          `json:"mask_must_not_open"`
	ReleasedInfo  Hex               `json:"released_info"`
	Released      Hex               `json:"released"`
	BadReleased   []Reject          `json:"released_must_not_open"`
}

// MaskVector is one entry of a two-key grant.
type MaskVector struct {
	Name   Hex `json:"name"`
	Mask   Hex `json:"mask"`
	Key    Hex `json:"key"`
	Masked Hex `json:"masked"`
}
