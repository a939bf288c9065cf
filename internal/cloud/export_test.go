package cloud

import "time"

// Patterns lists the routes that the server answers, for the matrix of rights.
func (s *Server) Patterns() []string {
	var out []string
	for _, r := range s.table() {
		out = append(out, r.pattern)
	}
	return out
}

// Hurried bounds requests by d, as requestWait does.
func (c Config) Hurried(d time.Duration) Config {
	c.requestWait = d
	return c
}
