package rondohttp

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"net/netip"
)

// fromHTTPTrace returns the trace that tells what net/http's own transport would, but for PutIdleConn and the interim
// answers. Its functions run on the loop.
func fromHTTPTrace(h *httptrace.ClientTrace, host string) *Trace {
	t := new(Trace)
	if h.GetConn != nil {
		h.GetConn(host)
	}
	if h.DNSStart != nil {
		t.DNSStart = func(host string) { h.DNSStart(httptrace.DNSStartInfo{Host: host}) }
	}
	if h.DNSDone != nil {
		t.DNSDone = func(_ string, addrs []netip.Addr, err error) {
			info := httptrace.DNSDoneInfo{Err: err}
			for _, a := range addrs {
				info.Addrs = append(info.Addrs, net.IPAddr{IP: a.AsSlice(), Zone: a.Zone()})
			}
			h.DNSDone(info)
		}
	}
	t.ConnectStart, t.ConnectDone = h.ConnectStart, h.ConnectDone
	t.TLSStart, t.FirstByte = h.TLSHandshakeStart, h.GotFirstResponseByte
	if h.TLSHandshakeDone != nil {
		t.TLSDone = func(state tls.ConnectionState, err error) { h.TLSHandshakeDone(state, err) }
	}
	if h.GotConn != nil {
		t.GotConn = func(c ConnInfo) {
			h.GotConn(httptrace.GotConnInfo{Conn: c.conn, Reused: c.Reused, WasIdle: c.Reused, IdleTime: c.Idle})
		}
	}
	if h.WroteHeaders != nil || h.WroteRequest != nil {
		t.WroteRequest = func() {
			if h.WroteHeaders != nil {
				h.WroteHeaders()
			}
			if h.WroteRequest != nil {
				h.WroteRequest(httptrace.WroteRequestInfo{})
			}
		}
	}
	return t
}
