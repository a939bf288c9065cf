package lan

import (
	"net"
	"net/netip"
	"slices"
)

// maxListed bounds the addresses that are told of a listener.
const maxListed = 8

// Addresses lists where on the home network a listener can be reached: its own
// address, or, when it listens on all of them, those of the machine, IPv4
// first. Loopback and link-local ones are of no use to others and left out,
// but an address that the listener was given stands as it is.
func Addresses(ln net.Addr) []string {
	ap, err := netip.ParseAddrPort(ln.String())
	if err != nil {
		return nil
	}
	if !ap.Addr().IsUnspecified() {
		return []string{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr().Unmap()
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.Is6() && ap.Addr().Is4() {
			continue
		}
		out = append(out, ip)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	var list []string
	for _, ip := range slices.Compact(out)[:min(len(out), maxListed)] {
		list = append(list, netip.AddrPortFrom(ip, ap.Port()).String())
	}
	return list
}

// Port is the port of a listener's address.
func Port(ln net.Addr) uint16 {
	ap, _ := netip.ParseAddrPort(ln.String()) // a TCP listener's address parses
	return ap.Port()
}

// Reachable reports whether others on the network can reach the listener: it
// is not on loopback.
func Reachable(ln net.Addr) bool {
	ap, err := netip.ParseAddrPort(ln.String())
	return err == nil && !ap.Addr().Unmap().IsLoopback()
}
