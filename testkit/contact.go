package testkit

// Contact is vectors/contact.json: the split secret of trusted contacts, its
// wrap, and the two notes.
type Contact struct {
	Doc
	Products   []ProductVector `json:"products"`
	Secret     Hex             `json:"secret"`
	Slope      Hex             `json:"slope"`
	Points     []PointVector   `json:"points"`
	Seed       Hex             `json:"seed"`
	Set        Hex             `json:"set"`
	VK         Hex             `json:"vk"`
	Wrap       Hex             `json:"wrap"`
	Household  Hex             `json:"household"`
	By         Hex             `json:"by"`
	Member     Hex             `json:"member"`
	ShareNotes []NoteVector    `json:"share_notes"`
	ClaimNote  NoteVector      `json:"claim_note"`
	ClaimID    Hex             `json:"claim_id"`
	Digits     string          `json:"digits"`
	Rejects    []RejectedNote  `json:"reject"`
}

// ProductVector is a·b = p in GF(2^8), and the inverse of a (0 for 0).
type ProductVector struct {
	A       uint8 `json:"a"`
	B       uint8 `json:"b"`
	P       uint8 `json:"p"`
	Inverse uint8 `json:"inverse"`
}

// PointVector is one share of Contact.Secret.
type PointVector struct {
	X uint8 `json:"x"`
	Y Hex   `json:"y"`
}
