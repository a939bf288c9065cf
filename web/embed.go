// Package web is the built web app as a read-only file system. It holds no
// logic: whoever serves it (the cloud, through cmd/) decides headers and
// caching. dist is committed, so that `go run` needs no Node; `npx vite build`
// writes it and two builds of the same sources give the same bytes.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist is the app's root: index.html, sw.js, manifest.webmanifest, icons, and
// assets/ whose names carry a hash of their content (cache those for ever,
// everything else not at all).
func Dist() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("web: dist is embedded under a fixed valid name: " + err.Error())
	}
	return sub
}
