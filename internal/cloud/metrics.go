package cloud

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own counters. None has a label that names a
// household, a person or a camera.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	logins   *prometheus.CounterVec
	limited  prometheus.Counter
	footage  prometheus.Counter
}

// liveHeap is what the last collection left: the one number that grows with a
// leak and with nothing else.
var liveHeap = collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_requests_total", Help: "Requests by route and status."}, []string{"route", "status"}),
		logins:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_logins_total", Help: "Sign-ins by outcome."}, []string{"outcome"}),
		limited:  prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_limited_total", Help: "Requests refused by a rate limit."}),
		footage:  prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_footage_bytes_total", Help: "Bytes of recorded footage sent."}),
	}
	m.registry.MustRegister(m.requests, m.logins, m.limited, m.footage,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(liveHeap)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.ingest(s)
	m.live(s)
	return m
}

// counter registers a number that grows; gauge one that goes both ways.
func (m *metrics) counter(name, help string, f func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f()) }))
}

func (m *metrics) gauge(name, help string, f func() int64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(f()) }))
}

func (m *metrics) ingest(s *Server) {
	st := s.ingest.Stats()
	m.counter("latchkey_ingest_parts_total", "Parts taken.", st.Parts.Load)
	m.counter("latchkey_ingest_bytes_total", "Bytes of parts taken.", st.Bytes.Load)
	m.counter("latchkey_ingest_duplicates_total", "Parts sent again.", st.Duplicates.Load)
	m.counter("latchkey_ingest_conflicts_total", "Parts refused because other bytes are stored.", st.Conflicts.Load)
	m.counter("latchkey_ingest_refused_total", "Messages of parts refused for another reason.", st.Refused.Load)
	m.counter("latchkey_ingest_reels_total", "Reels made durable.", st.Reels.Load)
	m.counter("latchkey_ingest_commits_total", "Group commits.", st.Commits.Load)
	m.counter("latchkey_ingest_close_failures_total", "Failed attempts to make reels durable.", st.CloseFailures.Load)
	m.gauge("latchkey_ingest_open_reels", "Reels that are not durable yet.", st.OpenReels.Load)
	m.gauge("latchkey_hubs_connected", "Hubs with an uplink.", func() int64 { return int64(s.hubs.count()) })
}

func (m *metrics) live(s *Server) {
	st := s.relay.Stats()
	m.counter("latchkey_live_parts_total", "Parts relayed.", st.Parts.Load)
	m.counter("latchkey_live_frames_total", "Messages sent to viewers.", st.Frames.Load)
	m.counter("latchkey_live_bytes_total", "Bytes sent to viewers.", st.Bytes.Load)
	m.counter("latchkey_live_writes_total", "Writes to viewers' sockets.", st.Writes.Load)
	m.counter("latchkey_live_skips_total", "Times a slow viewer was taken to a random-access part.", st.Skips.Load)
	m.gauge("latchkey_live_viewers", "Live sockets.", st.Viewers.Load)
}

// handler serves the metrics, for a listener of its own.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// count counts requests by the pattern of their route.
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			m.requests.WithLabelValues(route, strconv.Itoa(c.status)).Inc()
		}()
		next.ServeHTTP(c, r)
	})
}

// statusWriter notes the status. Unwrap lets http.ResponseController and
// others reach the real writer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ReadFrom lets the kernel move footage from file to socket.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Hijack is for the WebSocket upgrade.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Flush is for Connect.
func (w *statusWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot is not flushed
}
