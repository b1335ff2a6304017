package rondohttp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An h2peer is a client of HTTP/2 that does what it is told, right or wrong.
type h2peer struct {
	*http2.Framer
	t   testing.TB
	c   net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer
	ack *http2.Framer // so that one goroutine can read while another one writes
}

// h2dial connects to s, and exchanges settings.
func h2dial(s *testServer, settings ...http2.Setting) *h2peer {
	s.t.Helper()
	p := h2attach(s.t, s.dial())
	io.WriteString(p.c, http2.ClientPreface)
	p.WriteSettings(settings...)
	return p
}

func h2attach(t testing.TB, c net.Conn) *h2peer {
	p := &h2peer{t: t, c: c, Framer: http2.NewFramer(c, c)}
	p.enc = hpack.NewEncoder(&p.buf)
	p.ack = http2.NewFramer(c, nil)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.AllowIllegalWrites = true
	return p
}

// block encodes fields, which are names and values in turn.
func (p *h2peer) block(fields ...string) []byte {
	p.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.buf.Bytes()
}

// open sends the head of a request, with more fields behind the usual ones.
func (p *h2peer) open(id uint32, method, path string, end bool, fields ...string) {
	p.t.Helper()
	usual := []string{":method", method, ":scheme", "http", ":path", path, ":authority", "example.test"}
	err := p.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.block(append(usual, fields...)...), EndStream: end, EndHeaders: true,
	})
	if err != nil {
		p.t.Log(err) // the peer may have ended the connection
	}
}

// next returns the next frame but for those of the connection that every client gets.
func (p *h2peer) next() (http2.Frame, error) {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() && p.ack != nil {
				p.ack.WriteSettingsAck()
			}
		case *http2.WindowUpdateFrame:
		default:
			return f, nil
		}
	}
}

// answered returns the status and the body of the answer on a stream, and what it was reset with, if it was.
func (p *h2peer) answered(id uint32) (status, body string, reset *http2.RSTStreamFrame) {
	p.t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			p.t.Fatalf("stream %d: %v", id, err)
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "" {
				status = s
			}
			if f.StreamEnded() {
				return status, body, nil
			}
		case *http2.DataFrame:
			body += string(f.Data())
			if f.StreamEnded() {
				return status, body, nil
			}
		case *http2.RSTStreamFrame:
			copied := *f
			return status, body, &copied
		}
	}
}

// flood calls send until it fails, at most so many times, beside the caller. What it returns ends that.
func (p *h2peer) flood(most int, send func(i int) error) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range most {
			if send(i) != nil {
				return
			}
		}
	}()
	return func() {
		p.c.Close()
		<-done
	}
}

// over reads until the connection ends, and returns the code of the last GOAWAY, and whether there was one.
func (p *h2peer) over() (code http2.ErrCode, said bool) {
	p.t.Helper()
	for {
		f, err := p.next()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			p.t.Fatal("the connection does not end")
		}
		if err != nil {
			return code, said
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code, said = g.ErrCode, true
		}
	}
}
