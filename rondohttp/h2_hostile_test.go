package rondohttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/rondo-go/rondo"
)

// A peer is a server of HTTP/2 in plain text that says what a test wants it to.
type peer struct {
	*http2.Framer
	c   *net.TCPConn
	n   int // of the connection, from 1
	enc *hpack.Encoder
	buf bytes.Buffer
}

// servePeer starts a server that hands each connection to f once the preface is here. A nil settings sends none.
func servePeer(t *testing.T, settings []http2.Setting, f func(p *peer)) (url string) {
	t.Helper()
	return serveRaw(t, func(c *net.TCPConn, n int) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		p := &peer{Framer: http2.NewFramer(c, c), c: c, n: n}
		p.AllowIllegalWrites = true
		p.enc = hpack.NewEncoder(&p.buf)
		if settings != nil {
			p.WriteSettings(settings...)
		}
		f(p)
	})
}

// request reads until the head of a request has come, and returns its stream, 0 at the end of the connection.
func (p *peer) request() uint32 {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return 0
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			return f.StreamID
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				p.WritePing(true, f.Data)
			}
		}
	}
}

// rest reads until the connection ends.
func (p *peer) rest() { io.Copy(io.Discard, p.c) }

func (p *peer) block(fields ...string) []byte {
	p.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.buf.Bytes())
}

func (p *peer) head(stream uint32, end bool, fields ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.block(fields...), EndHeaders: true, EndStream: end})
}

func (p *peer) ok(stream uint32, body string) {
	p.head(stream, false, ":status", "200")
	p.WriteData(stream, true, []byte(body))
}

var usual = []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 100}}

func TestH2HostileServers(t *testing.T) {
	huge := strings.Repeat("x", 60000)
	for name, x := range map[string]struct {
		settings []http2.Setting
		say      func(p *peer, id uint32)
		kind     Kind
		text     string
		broken   bool // the connection is of no more use
	}{
		"push": {usual, func(p *peer, id uint32) {
			p.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: p.block(":method", "GET"), EndHeaders: true})
		}, KindProtocol, "pushes", true},
		"data on stream 0":       {usual, func(p *peer, id uint32) { p.WriteData(0, false, []byte("x")) }, KindProtocol, "protocol error", true},
		"data on an idle stream": {usual, func(p *peer, id uint32) { p.WriteData(id+2, false, []byte("x")) }, KindProtocol, "never opened", true},
		"data on an even stream": {usual, func(p *peer, id uint32) { p.WriteData(2, false, []byte("x")) }, KindProtocol, "never opened", true},
		"data before the head":   {usual, func(p *peer, id uint32) { p.WriteData(id, false, []byte("x")) }, KindProtocol, "before its head", false},
		"a head on an idle stream": {usual, func(p *peer, id uint32) {
			p.head(id+8, true, ":status", "200")
		}, KindProtocol, "never opened", true},
		"no status":             {usual, func(p *peer, id uint32) { p.head(id, true, "x", "y") }, KindProtocol, "status", false},
		"two statuses":          {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", ":status", "200") }, KindProtocol, "malformed", false},
		"a status of no use":    {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "2x0") }, KindProtocol, `status "2x0"`, false},
		"a status behind":       {usual, func(p *peer, id uint32) { p.head(id, true, "x", "y", ":status", "200") }, KindProtocol, "malformed", false},
		"a pseudo field":        {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", ":path", "/") }, KindProtocol, "malformed", false},
		"an upper case name":    {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", "X-Y", "z") }, KindProtocol, "malformed", false},
		"a line end in a field": {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", "x", "a\r\nb") }, KindProtocol, "malformed", false},
		"a field of HTTP/1.1":   {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", "transfer-encoding", "chunked") }, KindProtocol, "HTTP/1.1", false},
		"two lengths": {usual, func(p *peer, id uint32) {
			p.head(id, true, ":status", "200", "content-length", "1", "content-length", "2")
		}, KindProtocol, "Content-Length", false},
		"switching protocols": {usual, func(p *peer, id uint32) { p.head(id, false, ":status", "101") }, KindProtocol, "switches protocols", false},
		"an interim end":      {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "103") }, KindProtocol, "interim", false},
		"interims without end": {usual, func(p *peer, id uint32) {
			for range 20 {
				p.head(id, false, ":status", "103")
			}
		}, KindProtocol, "interim", false},
		"a short body": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200", "content-length", "5")
			p.WriteData(id, true, []byte("abc"))
		}, KindTruncated, "3 of 5", false},
		"a long body": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200", "content-length", "2")
			p.WriteData(id, true, []byte("abc"))
		}, KindProtocol, "longer than its Content-Length", false},
		"no body of a length": {usual, func(p *peer, id uint32) { p.head(id, true, ":status", "200", "content-length", "5") }, KindTruncated, "0 of 5", false},
		"a second head": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			p.head(id, false, ":status", "200")
		}, KindProtocol, "second head", false},
		"a status in trailers": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			p.head(id, true, ":status", "200")
		}, KindProtocol, "second head", false},
		"padding longer than the frame": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, id, []byte{9, 1})
		}, KindProtocol, "protocol error", true},
		"a frame that is too large": {usual, func(p *peer, id uint32) {
			p.WriteRawFrame(http2.FrameData, 0, id, make([]byte, 20000))
		}, KindProtocol, "too large", true},
		"a window that is too large":              {usual, func(p *peer, id uint32) { p.WriteWindowUpdate(id, 1<<31-1) }, KindProtocol, "window too large", false},
		"a connection's window that is too large": {usual, func(p *peer, id uint32) { p.WriteWindowUpdate(0, 1<<31-1) }, KindProtocol, "window too large", true},
		"no increment of a window":                {usual, func(p *peer, id uint32) { p.WriteWindowUpdate(id, 0) }, KindProtocol, "malformed frame", false},
		"broken compression": {usual, func(p *peer, id uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}, KindProtocol, "header compression broken", true},
		"an index of nothing": {usual, func(p *peer, id uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xfe}, EndHeaders: true})
		}, KindProtocol, "header compression broken", true},
		"something between heads": {usual, func(p *peer, id uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(":status", "200")})
			p.WritePing(false, [8]byte{})
		}, KindProtocol, "protocol error", true},
		"a continuation of nothing": {usual, func(p *peer, id uint32) { p.WriteContinuation(id, true, nil) }, KindProtocol, "protocol error", true},
		"a head that is too large": {usual, func(p *peer, id uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(":status", "200", "a", huge)[:16000]})
			rest := p.block(":status", "200", "a", huge)[16000:]
			for len(rest) > 16000 {
				p.WriteContinuation(id, false, rest[:16000])
				rest = rest[16000:]
			}
			p.WriteContinuation(id, false, rest)
			p.WriteContinuation(id, true, p.block("b", "a field behind it that makes it too long", "c", strings.Repeat("y", 8000)))
		}, KindHeaderTooLarge, "more than", false},
		"a bomb of indexed fields": {usual, func(p *peer, id uint32) {
			b := p.block(":status", "200", "bomb", strings.Repeat("z", 3000))
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: append(b, bytes.Repeat([]byte{0xbe}, 10000)...)})
		}, KindHeaderTooLarge, "more than", false},
		"continuations without end": {usual, func(p *peer, id uint32) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(":status", "200")})
			for range 10000 {
				if p.WriteContinuation(id, false, bytes.Repeat([]byte{0xbe - 0x3e + 0x08}, 100)) != nil {
					return
				}
			}
		}, KindProtocol, "", true},
		"settings of no use": {usual, func(p *peer, id uint32) {
			p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})
		}, KindProtocol, "protocol error", true},
		"a window of settings that is too large": {usual, func(p *peer, id uint32) {
			p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, KindProtocol, "flow control", true},
		"push allowed": {[]http2.Setting{{ID: http2.SettingEnablePush, Val: 1}}, func(p *peer, id uint32) {}, KindProtocol, "pushed", true},
		"no settings":  {nil, func(p *peer, id uint32) { p.WritePing(false, [8]byte{}) }, KindProtocol, "begin with its settings", true},
		"settings of odd length": {usual, func(p *peer, id uint32) {
			p.WriteRawFrame(http2.FrameSettings, 0, 0, []byte{1, 2, 3})
		}, KindProtocol, "wrong size", true},
		"a reset":             {usual, func(p *peer, id uint32) { p.WriteRSTStream(id, http2.ErrCodeEnhanceYourCalm) }, KindReset, "too much load, ENHANCE_YOUR_CALM", false},
		"an unknown reset":    {usual, func(p *peer, id uint32) { p.WriteRSTStream(id, 4711) }, KindReset, "error code 4711", false},
		"a reset of stream 0": {usual, func(p *peer, id uint32) { p.WriteRSTStream(0, 0) }, KindProtocol, "protocol error", true},
		"a reset in the body": {usual, func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			p.WriteData(id, false, []byte("begin"))
			p.WriteRSTStream(id, http2.ErrCodeInternal)
		}, KindReset, "internal error", false},
		"a refusal again and again": {usual, func(p *peer, id uint32) {
			for id != 0 {
				p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
				id = p.request()
			}
		}, KindReset, "refused", false},
		"the end":             {usual, func(p *peer, id uint32) { p.c.CloseWrite(); p.rest() }, KindClosed, "closed before an answer", true},
		"the end in a frame":  {usual, func(p *peer, id uint32) { p.c.Write([]byte{0, 0, 9, 1}); p.c.CloseWrite(); p.rest() }, KindClosed, "closed", true},
		"the end in the body": {usual, func(p *peer, id uint32) { p.head(id, false, ":status", "200"); p.c.CloseWrite(); p.rest() }, KindTruncated, "middle", true},
		"silence":             {usual, func(p *peer, id uint32) {}, KindTimeoutFirstByte, "no answer", false},
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			url := servePeer(t, x.settings, func(p *peer) {
				conns.Store(int64(p.n))
				first := p.n == 1
				for {
					id := p.request()
					if id == 0 {
						return
					}
					if first && id == 1 {
						x.say(p, id)
						continue
					}
					p.ok(id, "fine")
				}
			})
			run(t, func(ctx context.Context, s *Session) {
				_, err := fetch(ctx, s, &Request{Method: "POST", URL: url, Timeouts: &Timeouts{FirstByte: 300 * time.Millisecond, Read: 2 * time.Second}})
				if kindOf(err) != x.kind || !strings.Contains(fmt.Sprint(err), x.text) || !strings.Contains(fmt.Sprint(err), url) {
					t.Errorf("%v (%s), want %s and %q", err, kindOf(err), x.kind, x.text)
				}
				if x.settings == nil || x.settings[0].ID == http2.SettingEnablePush {
					return
				}
				if name == "a refusal again and again" {
					return
				}
				if _, body := get(t, ctx, s, url); body != "fine" {
					t.Errorf("afterwards: %q", body)
				}
				if n := conns.Load(); (n == 2) != x.broken {
					t.Errorf("%d connections", n)
				}
			}, WithProtocols(priorKnowledge()))
		})
	}
}

func TestH2MoreThanTheWindow(t *testing.T) {
	url := servePeer(t, usual, func(p *peer) {
		id := p.request()
		p.head(id, false, ":status", "200")
		p.WriteData(id, false, make([]byte, 100))
		p.WriteData(id, true, make([]byte, 1001))
		p.ok(p.request(), "fine")
		p.rest()
	})
	run(t, func(ctx context.Context, s *Session) {
		r, err := s.Get(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := r.Bytes(ctx); len(b) > 100 || kindOf(err) != KindProtocol || !strings.Contains(fmt.Sprint(err), "stream's window") {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		if _, body := get(t, ctx, s, url); body != "fine" {
			t.Error(body)
		}
	}, WithProtocols(priorKnowledge()), WithHTTP2(http.HTTP2Config{MaxReceiveBufferPerStream: 1000}))
}

// A server that asks for answers and does not read them does not fill the memory.
func TestH2UnreadAnswersAreBounded(t *testing.T) {
	url := servePeer(t, usual, func(p *peer) {
		p.request()
		pings := bytes.Repeat(append([]byte{0, 0, 8, byte(http2.FramePing), 0, 0, 0, 0, 0}, make([]byte, 8)...), 1000)
		for {
			if _, err := p.c.Write(pings); err != nil {
				return
			}
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Get(ctx, url)
		if kindOf(err) != KindProtocol || !strings.Contains(fmt.Sprint(err), "more answers than it reads") {
			t.Errorf("%v", err)
		}
	}, WithProtocols(priorKnowledge()))
}

func TestH2GoAway(t *testing.T) {
	for name, post := range map[string]bool{"idempotent": false, "not seen": true} {
		t.Run(name, func(t *testing.T) {
			url := servePeer(t, usual, func(p *peer) {
				if p.n > 1 {
					for id := p.request(); id != 0; id = p.request() {
						p.ok(id, "second")
					}
					return
				}
				first := p.request()
				p.request()
				p.WriteGoAway(first, http2.ErrCodeNo, []byte("enough"))
				p.ok(first, "first")
				p.rest()
			})
			run(t, func(ctx context.Context, s *Session) {
				req := &Request{URL: url}
				if post {
					req.Method = "POST"
				}
				var got []string
				rondo.WithGroup(ctx, func(g *rondo.Group) error {
					for range 2 {
						g.Go(func(ctx context.Context) error {
							body, err := fetch(ctx, s, req)
							if err != nil {
								t.Error(err)
							}
							got = append(got, body)
							return nil
						})
					}
					return nil
				})
				if strings.Join(got, " ") != "first second" {
					t.Errorf("%q", got)
				}
			}, WithProtocols(priorKnowledge()))
		})
	}
}

// A connection that goes away while it rests is not used for the next request.
func TestH2GoAwayOfAnIdleConnection(t *testing.T) {
	url := servePeer(t, usual, func(p *peer) {
		id := p.request()
		p.ok(id, fmt.Sprint(p.n))
		p.WriteGoAway(id, http2.ErrCodeNo, nil)
		p.rest()
	})
	run(t, func(ctx context.Context, s *Session) {
		for i := range 5 {
			if _, body := get(t, ctx, s, url); body != fmt.Sprint(i+1) {
				t.Errorf("%d: over connection %s", i, body)
			}
		}
		if s.pool.open > 1 {
			t.Errorf("%d connections are open", s.pool.open)
		}
	}, WithProtocols(priorKnowledge()), WithPerHost(1))
}

// A refused request is sent again, whatever its method, and a body that can be had again as well.
func TestH2RefusedIsSentAgain(t *testing.T) {
	url := servePeer(t, usual, func(p *peer) {
		for n := 1; ; n++ {
			id := p.request()
			switch {
			case id == 0:
				return
			case n < 3:
				p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			default:
				p.ok(id, "at last")
			}
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		retries := 0
		req := &Request{Method: "POST", URL: url, Body: strings.NewReader("body"), Trace: &Trace{Retry: func(int, time.Duration, error) { retries++ }}}
		if body, err := fetch(ctx, s, req); body != "at last" || err != nil || retries != 2 {
			t.Errorf("%q, %v, %d retries", body, err, retries)
		}
	}, WithProtocols(priorKnowledge()))
}

func TestH2PingFindsDeadConnections(t *testing.T) {
	url := servePeer(t, usual, func(p *peer) {
		p.request()
		p.rest()
	})
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Do(ctx, &Request{Method: "POST", URL: url})
		if kindOf(err) != KindReset || !strings.Contains(fmt.Sprint(err), "no answer to a ping within 20ms") {
			t.Errorf("%v", err)
		}
	}, WithProtocols(priorKnowledge()), WithHTTP2(http.HTTP2Config{SendPingTimeout: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}))

	url = servePeer(t, usual, func(p *peer) {
		id := p.request()
		for pinged := false; !pinged; {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			if f, ok := f.(*http2.PingFrame); ok {
				p.WritePing(true, f.Data)
				pinged = true
			}
		}
		p.ok(id, "alive")
		p.rest()
	})
	run(t, func(ctx context.Context, s *Session) {
		if _, body := get(t, ctx, s, url); body != "alive" {
			t.Error(body)
		}
	}, WithProtocols(priorKnowledge()), WithHTTP2(http.HTTP2Config{SendPingTimeout: 20 * time.Millisecond, PingTimeout: 10 * time.Second}))
}

// The windows of a server are kept to, and an answer before the end of a body ends its sending.
func TestH2UploadKeepsToWindows(t *testing.T) {
	settings := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 10}}
	url := servePeer(t, settings, func(p *peer) {
		p.ok(p.request(), "")
		id, got := p.request(), 0
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			d, ok := f.(*http2.DataFrame)
			if !ok {
				continue
			}
			if got += len(d.Data()); len(d.Data()) > 10 {
				t.Errorf("a frame of %d bytes", len(d.Data()))
			}
			if got >= 100 {
				p.head(id, true, ":status", "413")
				p.WriteRSTStream(id, http2.ErrCodeNo)
				p.rest()
				return
			}
			p.WriteWindowUpdate(id, uint32(len(d.Data())))
		}
	})
	run(t, func(ctx context.Context, s *Session) {
		get(t, ctx, s, url) // the settings are here now
		r, err := s.Do(ctx, &Request{Method: "PUT", URL: url, Body: &pattern{size: 1 << 20}, Timeouts: &Timeouts{Read: 10 * time.Second}})
		if err != nil || r.Status != 413 {
			t.Fatalf("%v", err)
		}
		r.Close()
	}, WithProtocols(priorKnowledge()))
}

func TestH2UploadTimesOut(t *testing.T) {
	url := servePeer(t, []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, func(p *peer) { p.request(); p.rest() })
	run(t, func(ctx context.Context, s *Session) {
		_, err := s.Do(ctx, &Request{Method: "PUT", URL: url, Body: &pattern{size: 1 << 20}, Timeouts: &Timeouts{Read: 20 * time.Millisecond}})
		if kindOf(err) != KindTimeoutRead {
			t.Errorf("%v", err)
		}
	}, WithProtocols(priorKnowledge()))
}

// Whatever a server says, a request ends, and with the session everything else does.
func FuzzH2Server(f *testing.F) {
	p := &peer{}
	var out bytes.Buffer
	p.Framer = http2.NewFramer(&out, nil)
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.buf)
	p.WriteSettings(usual...)
	p.WriteSettingsAck()
	p.head(1, false, ":status", "103", "link", "x")
	p.head(1, false, ":status", "200", "content-length", "5", "etag", "abc")
	p.WriteData(1, false, []byte("he"))
	p.WriteDataPadded(1, false, []byte("llo"), make([]byte, 5))
	p.head(1, true, "x-sum", "1")
	p.WritePing(false, [8]byte{1})
	p.WriteWindowUpdate(0, 100)
	p.WriteGoAway(1, 0, []byte("bye"))
	f.Add(out.Bytes())
	out.Reset()
	p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	p.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	p.ok(3, "x")
	p.WriteRSTStream(5, 2)
	f.Add(out.Bytes())
	out.Reset()
	p.WriteSettings()
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":status", "204")})
	p.WriteContinuation(1, true, p.block("a", "b"))
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, says []byte) {
		if len(says) > 1<<16 {
			return
		}
		url := serveRaw(t, func(c *net.TCPConn, n int) {
			c.Write(says)
			c.CloseWrite()
			io.Copy(io.Discard, c)
		})
		run(t, func(ctx context.Context, s *Session) {
			before := len(rondo.Tasks())
			limits := &Timeouts{Total: 5 * time.Second}
			rondo.WithGroup(ctx, func(g *rondo.Group) error {
				for i := range 3 {
					g.Go(func(ctx context.Context) error {
						req := &Request{URL: url, Timeouts: limits}
						if i == 1 {
							req.Method, req.Body = "POST", strings.NewReader("a body")
						}
						if _, err := fetch(ctx, s, req); err != nil {
							var e *Error
							if !errors.As(err, &e) || e.Timeout() || e.Kind == KindIO {
								t.Errorf("%v", err)
							}
						}
						return nil
					})
				}
				return nil
			})
			s.Close()
			for i := 0; len(rondo.Tasks()) > before; i++ {
				if i == 1000 {
					t.Fatalf("%d tasks are left of %d", len(rondo.Tasks()), before)
				}
				rondo.Sleep(ctx, time.Millisecond) // the readers end in their own time
			}
			if s.pool.open != 0 {
				t.Errorf("%d connections are open", s.pool.open)
			}
			if !s.pool.total.TryAcquire() || len(s.pool.hosts) != 0 {
				t.Errorf("the pool holds %d hosts", len(s.pool.hosts))
			}
			for range s.pool.limit - 1 {
				if !s.pool.total.TryAcquire() {
					t.Fatal("permits are lost")
				}
			}
		}, WithProtocols(priorKnowledge()))
	})
}
