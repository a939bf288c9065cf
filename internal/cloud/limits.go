package cloud

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.SignInsPerMinute, 10)
	set(&l.SignInBurst, 30)
	set(&l.CallsPerSecond, 100)
	set(&l.CallBurst, 400)
	set(&l.LiveSockets, 64)
	set(&l.Tracks, 256)
	set(&l.MailBoxes, 4096)
	return l
}

func (r ReelConfig) withDefaults() ReelConfig {
	if r.Slots == 0 {
		r.Slots = 60
	}
	if r.Bytes == 0 {
		r.Bytes = 8 << 20
	}
	if r.Idle == 0 {
		r.Idle = 90 * time.Second
	}
	if r.Commit == 0 {
		r.Commit = 250 * time.Millisecond
	}
	return r
}

// maxAddresses bounds the memory of the limiter; beyond it the addresses that
// have been quiet are forgotten, and if none has, all are.
const maxAddresses = 1 << 16

// limiter counts calls and sign-in attempts per address.
type limiter struct {
	l       Limits
	proxied bool // see Config.BehindProxy

	mu  sync.Mutex
	all map[netip.Prefix]*allowance
}

type allowance struct {
	calls, signIns *rate.Limiter
	seen           time.Time
}

func newLimiter(l Limits, proxied bool) *limiter {
	return &limiter{l: l, proxied: proxied, all: map[netip.Prefix]*allowance{}}
}

func (l *limiter) of(r *http.Request) *allowance {
	p := addressOf(r, l.proxied)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.all[p]
	if a == nil {
		if len(l.all) >= maxAddresses {
			l.forget(now)
		}
		a = &allowance{
			calls:   rate.NewLimiter(rate.Limit(l.l.CallsPerSecond), l.l.CallBurst),
			signIns: rate.NewLimiter(rate.Limit(float64(l.l.SignInsPerMinute)/60), l.l.SignInBurst),
		}
		l.all[p] = a
	}
	a.seen = now
	return a
}

func (l *limiter) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
}

// forget drops addresses whose allowance has filled up again. Callers hold mu.
func (l *limiter) forget(now time.Time) {
	for p, a := range l.all {
		if now.Sub(a.seen) > 10*time.Minute {
			delete(l.all, p)
		}
	}
	if len(l.all) >= maxAddresses {
		clear(l.all)
	}
}

// addressOf is the caller's address, of IPv6 the /64 that one customer has.
// Behind a proxy it is the last one forwarded: those before it are the caller's
// own words.
func addressOf(r *http.Request, proxied bool) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if all := r.Header.Values("X-Forwarded-For"); proxied && len(all) > 0 {
		last := all[len(all)-1]
		host = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // a listener without addresses: all share one allowance
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
