package websocket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"time"

	"github.com/rondo-go/rondo/rondohttp"
)

// Accept answers a handshake, for a handler of net/http's, under any server. O may be nil. The connection lives on when the
// handler returns, until it is closed; a [rondohttp.Server] that is shut down sends StatusGoingAway, and waits. Under
// another server, that is to be seen to by [http.Server.RegisterOnShutdown].
//
// On an error, which wraps [ErrHandshake] if it is the request's fault, the request has been answered.
func Accept(w http.ResponseWriter, r *http.Request, o *Options) (*Conn, error) {
	if o == nil {
		o = new(Options)
	}
	a, bad := o.agree(&request{r.Method, r.ProtoAtLeast(1, 1) && r.ProtoMajor == 1, r.Host, r.Header})
	if bad != nil {
		refuse(bad, w.Header().Set)
		http.Error(w, bad.why, bad.status)
		return nil, bad
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this server cannot switch protocols", http.StatusNotImplemented)
		return nil, fmt.Errorf("websocket: accept: %w", err)
	}
	read, _ := rw.Reader.Peek(rw.Reader.Buffered())
	x, err := o.begin(c, read, a)
	if err == nil && x.raw != nil {
		x.home = r.Context()
	}
	return x, err
}

// AcceptNative is [Accept] for a [rondohttp.HandlerFunc].
func AcceptNative(w *rondohttp.ServerResponse, r *rondohttp.ServerRequest, o *Options) (*Conn, error) {
	if o == nil {
		o = new(Options)
	}
	h := make(http.Header)
	for name, value := range r.Fields() {
		h.Add(textproto.CanonicalMIMEHeaderKey(string(name)), string(value))
	}
	a, bad := o.agree(&request{r.Method(), r.Proto() == "HTTP/1.1", string(r.Host()), h})
	if bad != nil {
		w.SetStatus(bad.status)
		refuse(bad, w.Add)
		w.SetContentType("text/plain; charset=utf-8")
		w.WriteString(bad.why + "\n")
		return nil, bad
	}
	c, read, err := w.Hijack()
	if err != nil {
		return nil, fmt.Errorf("websocket: accept: %w", err)
	}
	return o.begin(c, read, a)
}

// refuse adds the fields that go with a refusal.
func refuse(r *refusal, add func(name, value string)) {
	switch r.status {
	case http.StatusUpgradeRequired:
		add("Upgrade", "websocket")
		add("Connection", "Upgrade")
		add("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		add("Allow", http.MethodGet)
	}
}

// begin sends the answer, and makes the connection.
func (o *Options) begin(conn net.Conn, read []byte, a *agreement) (*Conn, error) {
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + a.accept + "\r\n")
	field := func(name, value string) {
		if value != "" {
			b = append(b, name+": "+value+"\r\n"...)
		}
	}
	field("Sec-WebSocket-Protocol", a.protocol)
	field("Sec-WebSocket-Extensions", a.extensions)
	for name, values := range o.Header {
		for _, v := range values {
			if !validField(name, v) {
				conn.Close()
				return nil, fmt.Errorf("websocket: accept: invalid field %q: %q", name, v)
			}
			field(name, v)
		}
	}
	b = append(b, "\r\n"...)
	conn.SetDeadline(time.Time{})
	if _, err := conn.Write(b); err != nil {
		conn.Close()
		return nil, fmt.Errorf("websocket: accept: %w", err)
	}
	c := newConn(conn, read, o, false, a.deflate, a.protocol)
	if s, ok := conn.(interface{ OnShutdown(func()) }); ok {
		s.OnShutdown(func() {
			c.spawn(func(ctx context.Context) { c.Close(ctx, StatusGoingAway, "") })
		})
	}
	return c, nil
}
