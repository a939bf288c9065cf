package member

import (
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// twoCameras is a household with a porch (sound and faces too) and a shed.
func twoCameras() (chain.State, map[string]latchkey.TrackID) {
	ids := map[string]latchkey.TrackID{}
	var state chain.State
	state.Cameras = map[latchkey.CameraID]chain.Camera{}
	for i, cam := range []struct {
		name  string
		kinds []latchkey.TrackKind
	}{
		{"porch", []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindAudio, latchkey.KindMeta, latchkey.KindBio}},
		{"shed", []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindMeta}},
	} {
		var c chain.Camera
		for j, k := range cam.kinds {
			id := latchkey.TrackID{byte(i + 1), byte(j)}
			ids[cam.name+" "+string(k)] = id
			c.Tracks = append(c.Tracks, chain.TrackDecl{ID: id, Kind: k})
		}
		state.Cameras[latchkey.CameraID{byte(i + 1)}] = c
	}
	return state, ids
}

func TestRightsAreTracksAndBack(t *testing.T) {
	state, ids := twoCameras()
	porch, shed := latchkey.CameraID{1}, latchkey.CameraID{2}
	for name, tt := range map[string]struct {
		rights Rights
		tracks []string
	}{
		"porch":               {Rights{Cameras: []CameraRight{{porch, true}}}, []string{"porch video", "porch audio", "porch meta"}},
		"porch without sound": {Rights{Cameras: []CameraRight{{porch, false}}}, []string{"porch video", "porch meta"}},
		"both":                {Rights{Cameras: []CameraRight{{porch, false}, {shed, true}}}, []string{"porch video", "porch meta", "shed video", "shed meta"}},
		"nothing":             {Rights{}, nil},
	} {
		got, err := tt.rights.tracks(state)
		if err != nil {
			t.Fatal(err)
		}
		var want []latchkey.TrackID
		for _, n := range tt.tracks {
			want = append(want, ids[n])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if back := rightsOf(chain.Member{Tracks: got}, state); back.All || !slices.Equal(back.Cameras, tt.rights.Cameras) {
			t.Errorf("%s: reads back as %+v", name, back)
		}
	}
	if all := rightsOf(chain.Member{AllTracks: true}, state); !all.All || all.Cameras != nil {
		t.Errorf("all: %+v", all)
	}
	if _, err := (Rights{Cameras: []CameraRight{{latchkey.CameraID{9}, true}}}).tracks(state); err == nil {
		t.Error("a camera that is not there has tracks")
	}
}

func TestTidyLabel(t *testing.T) {
	for in, want := range map[string]string{
		" Ann's phone ": "Ann's phone", "a\x1b[31mb\n\tc": "a[31mbc", "\xff\xfe": "", "a\u202eb": "ab", "Küche": "Küche",
		strings.Repeat("ü", 100): strings.Repeat("ü", 60),
	} {
		if got := tidyLabel(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if n := len(tidyLabel(strings.Repeat("abc", 100))); n != keys.MaxLabel {
		t.Errorf("a label of %d bytes", n)
	}
}

func TestParseInvitation(t *testing.T) {
	for in, want := range map[string][2]string{
		"https://cam.example/#join=ABCD":  {"https://cam.example", "ABCD"},
		" http://127.0.0.1:1/#join=A-B\n": {"http://127.0.0.1:1", "A-B"},
		"ABCD-EFGH":                       {"", "ABCD-EFGH"},
		"https://cam.example/#recover=AB": {"", "https://cam.example/#recover=AB"},
	} {
		if server, code := ParseInvitation(in); server != want[0] || code != want[1] {
			t.Errorf("%q is %q at %q", in, code, server)
		}
	}
}

func TestHistoryBegins(t *testing.T) {
	now := at(0)
	for want, h := range map[int64]History{0: {All: true}, now.Unix(): {}, now.Unix() - 7*86400: {Days: 7}} {
		if got := h.since(now); got != want {
			t.Errorf("%+v begins at %d, want %d", h, got, want)
		}
	}
}

func TestPickDevice(t *testing.T) {
	list := []Device{{ID: "aabbccdd00", Label: "phone"}, {ID: "aabbccdd11", Label: "tablet"}, {ID: "ff00", Label: "tablet"}}
	for name, want := range map[string]string{"aabbccdd00": "aabbccdd00", "AABBCCDD1": "aabbccdd11", "Phone": "aabbccdd00", "aabb": "", "aab": "", "tablet": "", "": "", "x": ""} {
		got, err := pickDevice(list, name)
		if got.ID != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", name, got.ID, err)
		}
	}
}
