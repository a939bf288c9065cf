// Package scenes holds the short loops that the demo's simulated cameras play:
// drawn by the project itself (gen), H.264 with AAC, so that the demo needs no
// camera, no ffmpeg and no network. It may be imported by the demo and by
// tests; it sees nothing of anybody.
package scenes

import _ "embed"

//go:generate go run ./gen -o .

//go:embed porch.mp4
var porch []byte

//go:embed porch-sub.mp4
var porchSub []byte

//go:embed driveway.mp4
var driveway []byte

//go:embed driveway-sub.mp4
var drivewaySub []byte

// Porch is a front door by day: a courier walks up, leaves a parcel, the door
// opens and the parcel goes in. 1280×720, 25 fps, no B-frames, AAC mono. An MP4 file.
func Porch() []byte { return porch }

// PorchSub is the same scene at 640×360 without sound.
func PorchSub() []byte { return porchSub }

// Driveway is a garage at dusk: a car comes, parks, and leaves. 1280×720,
// 25 fps, with B-frames, AAC mono. An MP4 file.
func Driveway() []byte { return driveway }

// DrivewaySub is the same scene at 640×360 without sound.
func DrivewaySub() []byte { return drivewaySub }
