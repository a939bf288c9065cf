package hub

import (
	"errors"
	"time"

	"latchkey.dev/latchkey/internal/home/camera"
)

// The records of the meta track (docs/spec/meta.md). Times are Unix
// milliseconds.

type stateRecord struct {
	V      int           `json:"v"`
	Type   string        `json:"type"` // "state"
	At     int64         `json:"at"`
	Camera string        `json:"camera"`
	Name   string        `json:"name"`
	Mode   string        `json:"mode"`
	Status string        `json:"status"`
	Error  string        `json:"error"` // a sentence for people, or empty
	Tracks []trackRecord `json:"tracks"`
	Hub    hubRecord     `json:"hub"`
}

type trackRecord struct {
	Track  string  `json:"track"`
	Kind   string  `json:"kind"`
	Codec  string  `json:"codec"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`
	Kbps   int     `json:"kbps"`
}

type hubRecord struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Started     int64  `json:"started"` // unix seconds
	SpoolParts  int    `json:"spool_parts"`
	SpoolBytes  int64  `json:"spool_bytes"`
	SpoolLimit  int64  `json:"spool_limit"`
	SpoolOldest int64  `json:"spool_oldest"` // unix seconds, 0 when empty
	BacklogFrom int64  `json:"backlog_from"` // unix seconds, 0 when none
	BacklogTo   int64  `json:"backlog_to"`
	Uplink      string `json:"uplink"` // connected, waiting, off
	Clock       string `json:"clock"`  // synced, unsynced
	// LogUntil says up to when the public log proves the household's chain: unix
	// seconds, 0 while there is no proof.
	LogUntil int64 `json:"log_until"`
	// LAN is where the hub takes removals on the home network.
	LAN []string `json:"lan"`
}

type gapRecord struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // "gap"
	Camera string `json:"camera"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Why    string `json:"why"`
}

type eventRecord struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // "event"
	ID     string `json:"id"`
	Camera string `json:"camera"`
	From   int64  `json:"from"`
	To     int64  `json:"to"` // 0: it lasts
	Label  string `json:"label"`
	Source string `json:"source"`
}

// Why a camera has no footage for a while.
const (
	whyOffline      = "camera-offline"
	whyPassword     = "wrong-password"
	whyChanged      = "camera-changed"
	whyHubOff       = "hub-off"
	whyDiskFull     = "disk-full"
	whyDiskError    = "disk-error"
	whySpoolFull    = "spool-full"
	whyClock        = "clock-step"
	whyNotRecording = "not-recording"
	whySwitchedOff  = "switched-off"
)

// Modes of a camera. In events mode the video and audio tracks are recorded
// during events only; sub stream and meta always are: so the camera can be
// watched live and its day be skimmed, at a few per cent of the space.
const (
	modeContinuous = "continuous"
	modeEvents     = "events"
	modeOff        = "off"
)

// Statuses of a camera, beside those of package camera.
const (
	statusRecording  = string(camera.StateStreaming)
	statusConnecting = string(camera.StateConnecting)
	statusWaiting    = "waiting" // events mode, no event now
	statusOff        = "off"
)

// gapWhy names the reason for which a camera delivers nothing.
func gapWhy(st camera.Status) string {
	switch {
	case errors.Is(st.Err, camera.ErrClockStep):
		return whyClock
	case st.State == camera.StateRefused:
		return whyPassword
	}
	return whyOffline
}

// sentence tells a person what is wrong with a camera and what to do.
func sentence(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, camera.ErrWrongPassword):
		return "The camera does not accept this user name and password. Enter the right ones."
	case errors.Is(err, camera.ErrUnreachable):
		return "The camera cannot be reached. Check its power, its network and its address."
	case errors.Is(err, camera.ErrNoMedia):
		return "The camera offers no H.264 or H.265 video at this address. Check the address."
	case errors.Is(err, camera.ErrTimeout):
		return "The camera is connected but sends no picture. Restart it if this lasts."
	case errors.Is(err, camera.ErrClockStep):
		return "The clock of the hub was set back; recording starts again."
	}
	return err.Error()
}

func ms(t time.Time) int64 { return t.UnixMilli() }
