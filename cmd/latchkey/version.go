package main

import (
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run prints the version that the Go toolchain stamped into the binary.
func (c *versionCmd) Run(a *app) error {
	v := buildVersion()
	if c.JSON {
		return a.json(map[string]string{"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	a.print("latchkey %s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion is the module version, or the commit it was built from, or
// "devel" when the toolchain stamped neither.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
