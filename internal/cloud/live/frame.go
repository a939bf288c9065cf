package live

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// WebSocket opcodes with FIN set (RFC 6455 §5.2). A server's frames are not
// masked, so one encoded frame serves every viewer: gorilla's PreparedMessage
// without a system call per viewer and message.
const (
	frameText   = 0x81
	frameBinary = 0x82
)

// shared is one encoded WebSocket frame, written to any number of sockets and
// never changed. The part fields are zero for text.
type shared struct {
	frame []byte
	epoch latchkey.EpochID
	seq   uint32
	slot  uint32
	rap   bool
	jump  bool      // parts before it never came: only a random-access part may follow them
	at    time.Time // arrival
}

// appendFrame appends a frame with payload to b.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(b, payload...)
}

const maxFrameHeader = 10

func partFrame(h part.Header, raw []byte, at time.Time) *shared {
	return &shared{
		frame: appendFrame(make([]byte, 0, maxFrameHeader+len(raw)), frameBinary, raw),
		epoch: h.Epoch, seq: h.Seq, slot: h.Slot, rap: h.Flags&part.RAP != 0, at: at,
	}
}

// Messages of the server, text JSON.
type (
	epochMessage struct {
		Op    string `json:"op"`
		Epoch string `json:"epoch"`
	}
	headsMessage struct {
		Op    string `json:"op"`
		Epoch string `json:"epoch"`
		Note  string `json:"note"`
	}
	skipMessage struct {
		Op    string `json:"op"`
		Track string `json:"track"`
		Epoch string `json:"epoch"`
		From  uint32 `json:"from"`
		To    uint32 `json:"to"` // exclusive
	}
	trackMessage struct {
		Op    string `json:"op"`
		Track string `json:"track"`
		Why   string `json:"why,omitempty"`
	}
	hubMessage struct {
		Op     string `json:"op"`
		Online bool   `json:"online"`
	}
)

func textFrame(message any) *shared {
	b, err := json.Marshal(message)
	if err != nil {
		panic("live: messages are structs of strings and numbers: " + err.Error())
	}
	return &shared{frame: appendFrame(nil, frameText, b)}
}
