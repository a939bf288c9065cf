package lan

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Services as mDNS names them: a hub that takes removals, an admin's machine
// that waits for a hub. The first one's instances are random; the second one's
// are rendezvous in hex.
const (
	RemovalService = "_latchkey._tcp"
	PairService    = "_latchkey-pair._tcp"
)

const (
	lookAgain = 15 * time.Second // at the interfaces: a network can come later than we
	tryAgain  = 5 * time.Minute  // where multicast did not work
)

// RandomName is a name that tells nothing, for an instance or a host.
func RandomName() string { return strings.ToLower(rand.Text()[:16]) }

// Announce answers mDNS questions for a service at port until ctx ends. The
// host gets a random name: the machine's own tells whose it is. Where
// multicast does not work it says so once and waits for it.
func Announce(ctx context.Context, service, instance string, port uint16, log *slog.Logger) {
	stay(ctx, log, func(*mdns.Conn) error { return nil }, mdns.WithLocalNames(RandomName()+".local"),
		mdns.WithService(mdns.ServiceInstance{Instance: instance, Service: service, Port: port}))
}

// Browse calls found for each address of an instance of the service that
// answers, possibly again and again, until ctx ends. Anybody on the network
// may answer with anything.
func Browse(ctx context.Context, service string, found func(instance, addr string), log *slog.Logger) {
	stay(ctx, log, func(c *mdns.Conn) error {
		c.OnServiceDiscovered(func(e mdns.ServiceEvent) {
			if e.Addr.IsValid() && e.Instance.Port != 0 {
				found(e.Instance.Instance, netip.AddrPortFrom(e.Addr.Unmap(), e.Instance.Port).String())
			}
		})
		return c.Browse(ctx, service)
	})
}

// stay keeps an mDNS connection until ctx ends, and makes it anew when the
// machine's addresses change.
func stay(ctx context.Context, log *slog.Logger, begin func(*mdns.Conn) error, options ...mdns.ServerOption) {
	options = append(options, mdns.WithLoggerFactory(&logging.DefaultLoggerFactory{
		Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled,
	}))
	told := false
	for ctx.Err() == nil {
		there := addresses()
		conn, err := open(options)
		if err == nil {
			err = begin(conn)
		}
		patience := time.Duration(0)
		if err != nil {
			patience = tryAgain
			if !told && ctx.Err() == nil {
				log.Info("mDNS does not work here; addresses have to be given", "err", err)
				told = true
			}
		}
		untilChange(ctx, there, patience)
		if conn != nil {
			_ = conn.Close() // its sockets are gone either way
		}
	}
}

// untilChange returns when ctx ends, when the machine's addresses are other
// ones than there, or after patience (0: no end).
func untilChange(ctx context.Context, there string, patience time.Duration) {
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	var over <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		over = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-look.C:
			if addresses() != there {
				return
			}
		}
	}
}

func addresses() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, a := range all {
		b.WriteString(a.String() + " ")
	}
	return b.String()
}

// open takes the mDNS port for IPv4 and IPv6, whichever there is.
func open(options []mdns.ServerOption) (*mdns.Conn, error) {
	var v4 *ipv4.PacketConn
	var v6 *ipv6.PacketConn
	c4, err4 := listen("udp4", mdns.DefaultAddressIPv4)
	if err4 == nil {
		v4 = ipv4.NewPacketConn(c4)
	}
	c6, err6 := listen("udp6", mdns.DefaultAddressIPv6)
	if err6 == nil {
		v6 = ipv6.NewPacketConn(c6)
	}
	if v4 == nil && v6 == nil {
		return nil, errors.Join(err4, err6)
	}
	conn, err := mdns.NewServer(v4, v6, options...)
	if err != nil {
		for _, c := range []*net.UDPConn{c4, c6} {
			if c != nil {
				err = errors.Join(err, c.Close())
			}
		}
		return nil, err
	}
	return conn, nil
}

func listen(network, addr string) (*net.UDPConn, error) {
	a, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, a)
}
