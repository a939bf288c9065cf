package member

import (
	"encoding/json"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// Record types inside a part (protocol 2.5).
const (
	recordFragment = 1
	recordInit     = 2
	recordEvent    = 4
)

// metaRecord is one sealed JSON object of a camera's meta track
// (docs/spec, "Meta track"); which fields are set depends on Type.
type metaRecord struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // state, gap or event
	Camera string `json:"camera"`

	// state
	At     int64       `json:"at"` // unix ms
	Name   string      `json:"name"`
	Mode   string      `json:"mode"`
	Status string      `json:"status"`
	Error  string      `json:"error"`
	Tracks []metaTrack `json:"tracks"`
	Hub    HubReport   `json:"hub"`

	// gap and event, unix ms; an event that lasts has To 0
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Why    string `json:"why"`
	ID     string `json:"id"`
	Label  string `json:"label"`
	Source string `json:"source"`
}

type metaTrack struct {
	Track  string  `json:"track"`
	Kind   string  `json:"kind"`
	Codec  string  `json:"codec"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`
	Kbps   int     `json:"kbps"`
}

// metaRecords reads the records of an opened meta part. Types of a later
// version are left out; a record of another camera is latchkey.ErrVerify.
func metaRecords(camera latchkey.CameraID, recs []part.Record) ([]metaRecord, error) {
	var out []metaRecord
	for _, r := range recs {
		if r.Type != recordEvent {
			continue
		}
		var m metaRecord
		if err := json.Unmarshal(r.Data, &m); err != nil {
			// The decoder's words would quote the sealed text.
			return nil, fmt.Errorf("%w: a meta record is no JSON of this version", latchkey.ErrInvalid)
		}
		if m.V != 1 {
			continue
		}
		if m.Camera != camera.String() {
			return nil, fmt.Errorf("%w: a meta record speaks of another camera", latchkey.ErrVerify)
		}
		out = append(out, m)
	}
	return out, nil
}

// millis turns Unix milliseconds into a time; 0 is no time.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// meta is everything that a stretch of a camera's meta track says.
type meta struct {
	state  metaRecord // newest; Type is empty when there is none
	gaps   []metaRecord
	events map[string]metaRecord // by id, the latest word on each
}

// add takes the records of one part; later parts overrule earlier ones.
func (m *meta) add(recs []metaRecord) {
	for _, r := range recs {
		switch r.Type {
		case "state":
			if r.At >= m.state.At {
				m.state = r
			}
		case "gap":
			m.gaps = append(m.gaps, r)
		case "event":
			if m.events == nil {
				m.events = map[string]metaRecord{}
			}
			if old, ok := m.events[r.ID]; !ok || r.To >= old.To {
				m.events[r.ID] = r
			}
		}
	}
}
