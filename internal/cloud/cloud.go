// Package cloud is the untrusted server: it keeps a household's signed
// statements, sealed footage and sealed vaults, relays live parts, and carries
// sealed commands. It holds no key that opens anything, names no cipher, and
// learns of footage what part.Header says and nothing else.
//
// cmd/latchkey and cmd/latchkey-cloud may import it; it imports only the
// public formats (part, chain), the generated API, durable, and its own rooms.
// Wire: docs/spec/wire.md.
package cloud

import (
	"io/fs"
	"log/slog"
	"time"

	"latchkey.dev/latchkey/internal/durable"
)

// Config says where a server keeps its data and how it is reached.
type Config struct {
	// DataDir holds catalog.db, blobs/, open/ and log/. It is made if it is missing.
	DataDir string
	// PublicURL is the origin that browsers and hubs use, such as
	// "https://latchkey.example". Empty: the server answers under IP addresses
	// and localhost only, and the origin is what the caller addressed.
	PublicURL string
	// BehindProxy says that a proxy stands in front and puts the caller's address
	// last into X-Forwarded-For. Without it all callers of a proxy share one
	// allowance, and one of them can use it up; with it and no such proxy, callers
	// choose their addresses.
	BehindProxy bool
	// MetricsListen is the address of the Prometheus listener, apart from the
	// public one. Empty: no metrics are served.
	MetricsListen string
	// LogFile gets the logs too, as JSON lines (mode 0600, appended). Empty: none.
	LogFile string
	// Logger gets structured logs: never tokens, notes or sealed bytes. Nil: discarded.
	Logger *slog.Logger
	// Web is the built app, as web.Dist() returns it. Nil: the embedded one.
	Web fs.FS
	// Release is the signed release note of Web (spec/log, "Releases"); it comes into
	// the public log. Nil: what is served is not a release.
	Release []byte
	// Limits bound what callers may do. Zero fields take the defaults of DefaultLimits.
	Limits Limits
	// Misuse is how much of what staff do is too much. Zero fields take the defaults.
	Misuse MisuseLimits

	requestWait time.Duration // for tests; zero: requestWait
	// Reels says when open reels end and how often they are fsynced. Zero fields take the defaults.
	Reels ReelConfig
	// ContactWait is how long a claim of trusted contacts is shown to everybody
	// before a share is taken (docs/design/0004). Zero: 7 days. Only tests shorten it.
	ContactWait time.Duration
	// Log says what the public log is called and who watches it.
	Log LogConfig
	// FS is the file system below blobs/ and open/. Nil: the disk.
	FS durable.FS
}

// Limits bound callers; docs/design/0001 gives the reasons.
type Limits struct {
	SignInsPerMinute int // per address; default 10
	SignInBurst      int // default 30
	CallsPerSecond   int // of all API calls, per address; default 100
	CallBurst        int // default 400
	LiveSockets      int // per household; default 64
	Tracks           int // per hub; default 256
	MailBoxes        int // in all; default 4096
}

// LogConfig is about the public log (docs/design/0005). Zero fields take the
// defaults.
type LogConfig struct {
	// Name begins the log's origin, <name>/log/1. It is used at the first
	// start and stays. Default: the host of PublicURL, or a random name.
	Name string
	// Watchers are lines of a policy (spec/log, "Policy") that name witnesses,
	// groups, quorum and auditors. Empty: nobody but the operator vouches for the log.
	Watchers string
	// Checkpoint is the time between two checkpoints while the log grows; default 1 s.
	Checkpoint time.Duration
	// Set is the time between two sets in any case, default 1 h; SetSoon while
	// statements come in, default 10 s.
	Set, SetSoon time.Duration
}

// ReelConfig bounds open reels (spec/wire, "Reels").
type ReelConfig struct {
	Slots  uint32        // a reel spans at most this many slots; default 60
	Bytes  int64         // a reel has at most this many bytes, unless one part is larger; default 8 MiB
	Idle   time.Duration // a reel without a new part this long is closed; default 90 s
	Commit time.Duration // group commit: longest wait of a part for its fsync; default 250 ms
}
