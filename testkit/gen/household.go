package main

import (
	"fmt"
	"sort"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// now is the reader's clock in all vectors, unix seconds.
const now = 1_790_000_000

// household is the cast of the vectors: a founder, a second admin, a viewer, two
// hubs and two cameras, and the texts of their statements.
type household struct {
	seeds                      map[string]hexBytes
	founder, founderRec        edKey
	second, secondRec          edKey
	viewer, viewerRec          edKey
	hub, hub2, stranger        edKey
	founderX, secondX, viewerX xKey
	hubX, hub2X                xKey
	camera, camera2            []byte
	tracks                     map[string][]byte

	genesis string
	id      []byte
}

func newHousehold() household {
	h := household{seeds: map[string]hexBytes{}, tracks: map[string][]byte{}}
	ed := func(name string) edKey { h.seeds[name] = draw("seed "+name, 32); return newEd(h.seeds[name]) }
	x := func(name string) xKey { h.seeds[name] = draw("seed "+name, 32); return newX(h.seeds[name]) }
	h.founder, h.founderRec, h.founderX = ed("founder"), ed("founder recovery"), x("founder x")
	h.second, h.secondRec, h.secondX = ed("second"), ed("second recovery"), x("second x")
	h.viewer, h.viewerRec, h.viewerX = ed("viewer"), ed("viewer recovery"), x("viewer x")
	h.hub, h.hubX = ed("hub"), x("hub x")
	h.hub2, h.hub2X = ed("hub2"), x("hub2 x")
	h.stranger = ed("stranger")
	h.camera, h.camera2 = draw("camera porch", 16), draw("camera drive", 16)
	for _, t := range []string{"porch video", "porch video-sub", "porch audio", "porch meta", "drive video", "drive meta"} {
		h.tracks[t] = draw("track "+t, 16)
	}
	h.genesis = h.genesisText("none", "none")
	h.id = hash([]byte(h.genesis))[:16]
	return h
}

func (h household) genesisText(operator, log string) string {
	return textOf("genesis", "seq 0", fmt.Sprintf("time %d", now-1000), "by "+b64(h.founder.kid()), "salt "+b64(draw("salt 0", 16)),
		"ed "+b64(h.founder.pub), "x "+b64(h.founderX.pub), "recovery "+b64(h.founderRec.pub),
		"ktag "+b64(hash(draw("ktag", 32))), "operator "+operator, "log "+log)
}

// textOf joins the lines of a text.
func textOf(noteType string, lines ...string) string {
	return "latchkey/v1 " + noteType + "\n" + strings.Join(lines, "\n") + "\n"
}

// sorted is for repeated lines.
func sorted(lines ...string) []string {
	sort.Strings(lines)
	return lines
}

// head is the common head of a statement at seq after prev.
func (h household) head(seq int, prev []byte, at int64, by edKey) []string {
	return []string{
		"household " + b64(h.id), fmt.Sprintf("seq %d", seq), "prev " + b64(prev),
		fmt.Sprintf("time %d", at), "by " + b64(by.kid()), "salt " + b64(draw(fmt.Sprintf("salt %d", seq), 16)),
	}
}

func (h household) declare(names ...string) []string {
	var lines []string
	for _, n := range names {
		_, kind, _ := strings.Cut(n, " ")
		lines = append(lines, "track "+b64(h.tracks[n])+" "+kind)
	}
	return sorted(lines...)
}

// state builds the expected state; who and what are given by name.
func (h household) trackVectors(names ...string) []testkit.TrackVector {
	var out []testkit.TrackVector
	for _, n := range names {
		_, kind, _ := strings.Cut(n, " ")
		out = append(out, testkit.TrackVector{Track: h.tracks[n], Kind: kind})
	}
	sort.Slice(out, func(i, j int) bool { return string(out[i].Track) < string(out[j].Track) })
	return out
}
