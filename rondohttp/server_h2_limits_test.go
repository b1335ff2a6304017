package rondohttp

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"golang.org/x/net/http2"
)

// stuck never answers, but when it is canceled or the client has left.
func stuck(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
	return rondo.Sleep(r.Context(), time.Hour)
}

func hi(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	_, err := w.WriteString("hi")
	return err
}

func TestServerH2EndsFloods(t *testing.T) {
	const many = 20000
	floods := map[string]struct {
		send func(p *h2peer, i int) error
		code http2.ErrCode
	}{
		"rapid reset": {func(p *h2peer, i int) error {
			p.open(uint32(2*i+1), "GET", "/", true)
			return p.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, http2.ErrCodeEnhanceYourCalm},
		"resets provoked": {func(p *h2peer, i int) error {
			p.open(uint32(2*i+1), "GET", "/", true)
			return p.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
		}, http2.ErrCodeEnhanceYourCalm},
		"ping":     {func(p *h2peer, i int) error { return p.WritePing(false, [8]byte{}) }, http2.ErrCodeEnhanceYourCalm},
		"settings": {func(p *h2peer, i int) error { return p.WriteSettings() }, http2.ErrCodeEnhanceYourCalm},
		"priority": {func(p *h2peer, i int) error {
			return p.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: 1})
		}, http2.ErrCodeEnhanceYourCalm},
		"empty data": {func(p *h2peer, i int) error {
			if i == 0 {
				p.open(1, "POST", "/", false)
			}
			return p.WriteData(1, false, nil)
		}, http2.ErrCodeEnhanceYourCalm},
		"unknown frames": {func(p *h2peer, i int) error { return p.WriteRawFrame(0xbb, 0, 0, nil) }, http2.ErrCodeEnhanceYourCalm},
		"continuation": {func(p *h2peer, i int) error {
			if i == 0 {
				p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET"), EndStream: true})
			}
			return p.WriteContinuation(1, false, p.block("x", strings.Repeat("y", 1000)))
		}, http2.ErrCodeProtocol},
	}
	quietly, _ := quiet()
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, HandlerFunc(stuck), quietly)
			p := h2dial(s)
			defer p.flood(many, func(i int) error { return flood.send(p, i) })()
			// A client that does not read is another matter: see TestServerH2ClosesClientsThatDoNotRead.
			if code, said := p.over(); !said || code != flood.code {
				t.Errorf("%v %v, want %v", said, code, flood.code)
			}
			other := h2dial(s)
			other.WritePing(false, [8]byte{1})
			if f, err := other.next(); err != nil || f.Header().Type != http2.FramePing {
				t.Errorf("another client gets %v, %v", f, err)
			}
		})
	}
}

// Frames without a length cost nothing that the limits of size would see.
func TestServerH2EndsEmptyContinuations(t *testing.T) {
	quietly, _ := quiet()
	s := startServer(t, HandlerFunc(hi), quietly, WithServerLimits(ServerLimits{Header: 200 * time.Millisecond}))
	p := h2dial(s)
	p.ack = nil // nothing may come in between
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET"), EndStream: true})
	defer p.flood(math.MaxInt, func(int) error { return p.WriteContinuation(1, false, nil) })()
	if code, _ := p.over(); code != http2.ErrCodeNo {
		t.Errorf("%v", code)
	}
}

func TestServerH2RefusesTooManyStreams(t *testing.T) {
	s := startServer(t, HandlerFunc(stuck), WithServerLimits(ServerLimits{Streams: 10}))
	p := h2dial(s)
	for i := range 11 {
		p.open(uint32(2*i+1), "GET", "/", true)
	}
	_, _, reset := p.answered(21)
	if reset == nil || reset.ErrCode != http2.ErrCodeRefusedStream {
		t.Errorf("%v, want REFUSED_STREAM", reset)
	}
}

func TestServerH2BoundsHeads(t *testing.T) {
	s := startServer(t, HandlerFunc(hi), WithServerLimits(ServerLimits{HeaderBytes: 8 << 10, HeaderCount: 20, TargetBytes: 1000, BodyBytes: 100}))
	for name, c := range map[string]struct {
		path   string
		fields []string
		status string
	}{
		"fits":      {"/", []string{"x", strings.Repeat("y", 4000)}, "200"},
		"large":     {"/", []string{"x", strings.Repeat("y", 9000)}, "431"},
		"many":      {"/", strings.Split(strings.Repeat("a b ", 21)+"c d", " "), "431"},
		"target":    {"/" + strings.Repeat("p", 1000), nil, "414"},
		"too large": {"/", []string{"content-length", "101"}, "413"},
		"expects":   {"/", []string{"expect", "the moon"}, "417"},
	} {
		p := h2dial(s)
		p.open(1, "POST", c.path, name != "too large", c.fields...)
		if status, _, _ := p.answered(1); status != c.status {
			t.Errorf("%s: %s, want %s", name, status, c.status)
		}
		p.open(3, "GET", "/", true)
		if status, body, _ := p.answered(3); status != "200" || body != "hi" {
			t.Errorf("after %s: %s %q", name, status, body)
		}
	}
}

// A small block that refers to one large entry again and again.
func TestServerH2BoundsDecompression(t *testing.T) {
	s := startServer(t, HandlerFunc(hi))
	p := h2dial(s)
	p.open(1, "GET", "/", true, "bomb", strings.Repeat("x", 3500))
	if status, _, _ := p.answered(1); status != "200" {
		t.Errorf("%s", status)
	}
	var bomb []string
	for range 4000 {
		bomb = append(bomb, "bomb", strings.Repeat("x", 3500))
	}
	p.open(3, "GET", "/", true, bomb...)
	if status, _, _ := p.answered(3); status != "431" {
		t.Errorf("%s, want 431", status)
	}
	p.open(5, "GET", "/", true)
	if status, _, _ := p.answered(5); status != "200" {
		t.Errorf("afterwards %s", status)
	}
}

func TestServerH2RefusesMalformedRequests(t *testing.T) {
	s := startServer(t, HandlerFunc(hi))
	p := h2dial(s)
	id := uint32(1)
	for name, fields := range map[string][]string{
		"two authorities":  {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "host", "b"},
		"user information": {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "me@a"},
		"path":             {":method", "GET", ":scheme", "http", ":path", "a", ":authority", "a"},
		"absolute path":    {":method", "GET", ":scheme", "http", ":path", "http://b/", ":authority", "a"},
		"blank in path":    {":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1", ":authority", "a"},
		"fragment":         {":method", "GET", ":scheme", "http", ":path", "/#x", ":authority", "a"},
		"star":             {":method", "GET", ":scheme", "http", ":path", "*", ":authority", "a"},
		"method":           {":method", "G T", ":scheme", "http", ":path", "/", ":authority", "a"},
		"CONNECT":          {":method", "CONNECT", ":scheme", "http", ":path", "/", ":authority", "a:1"},
		"protocol":         {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "a:1"},
		"length":           {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "+0"},
		"two lengths":      {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "0", "content-length", "0"},
		"a length and end": {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "1"},
		"line end":         {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", "a\r\nb: c"},
		"upgrade":          {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "upgrade", "h2c"},
		"blank value":      {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", " a"},
	} {
		if id > 100 {
			t.Fatal("too many cases for one connection")
		}
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: true, EndHeaders: true})
		_, _, reset := p.answered(id)
		if reset == nil || reset.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("%s: %v, want PROTOCOL_ERROR", name, reset)
		}
		id += 2
	}
	p.open(id, "OPTIONS", "*", true)
	if status, _, _ := p.answered(id); status != "200" {
		t.Errorf("OPTIONS *: %s", status)
	}
}

func TestServerH2ComparesBodyAndLength(t *testing.T) {
	quietly, _ := quiet()
	s := startServer(t, HandlerFunc(hi), quietly)
	p := h2dial(s)
	for i, body := range []string{"1234", "123456"} {
		id := uint32(2*i + 1)
		p.open(id, "POST", "/", false, "content-length", "5")
		p.WriteData(id, true, []byte(body))
		if _, _, reset := p.answered(id); reset == nil || reset.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("%q for 5 bytes: %v", body, reset)
		}
	}
	p.open(5, "POST", "/", false, "content-length", "5")
	p.WriteDataPadded(5, true, []byte("12345"), make([]byte, 10))
	if status, body, _ := p.answered(5); status != "200" || body != "hi" {
		t.Errorf("%s %q", status, body)
	}
}

func TestServerH2HoldsPeersToWindows(t *testing.T) {
	quietly, _ := quiet()
	s := startServer(t, HandlerFunc(stuck), quietly)
	p := h2dial(s)
	p.open(1, "POST", "/", false)
	sent := 0
	for sent <= h2StreamWindow {
		p.WriteData(1, false, make([]byte, 16384))
		sent += 16384
	}
	if _, _, reset := p.answered(1); reset == nil || reset.ErrCode != http2.ErrCodeFlowControl {
		t.Errorf("%v, want FLOW_CONTROL_ERROR", reset)
	}
	p = h2dial(s)
	for id := uint32(1); id < 20; id += 2 {
		p.open(id, "POST", "/", false)
		for range h2StreamWindow / 16384 {
			p.WriteData(id, false, make([]byte, 16384))
		}
	}
	if code, _ := p.over(); code != http2.ErrCodeFlowControl {
		t.Errorf("connection: %v, want FLOW_CONTROL_ERROR", code)
	}
}

func TestServerH2KeepsToWindows(t *testing.T) {
	const window, size = 10000, 95000
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, size)) })
	s := startServer(t, std)
	p := h2dial(s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	p.open(1, "GET", "/", true)
	got := 0
	read := func(n int) {
		for got < n {
			f, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*http2.DataFrame); ok {
				got += len(d.Data())
			}
		}
	}
	read(window)
	if got != window {
		t.Fatalf("%d bytes, the window is %d", got, window)
	}
	p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window - 6000})
	p.WriteWindowUpdate(1, 6000) // the window is 0 again
	p.WritePing(false, [8]byte{})
	if f, err := p.next(); err != nil || f.Header().Type != http2.FramePing {
		t.Fatalf("%v, %v", f, err)
	}
	p.WriteWindowUpdate(1, 1<<20)
	read(http2DefaultWindow)
	if got != http2DefaultWindow {
		t.Fatalf("%d bytes, the connection's window is %d", got, http2DefaultWindow)
	}
	p.WriteWindowUpdate(0, 1<<20)
	read(size)
	if got != size {
		t.Errorf("%d bytes, want %d", got, size)
	}
}

const http2DefaultWindow = 65535

func TestServerH2ClosesSlowClients(t *testing.T) {
	limits := WithServerLimits(ServerLimits{Header: 100 * time.Millisecond, Body: 150 * time.Millisecond, Idle: 300 * time.Millisecond, Write: 200 * time.Millisecond})
	big := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		if string(r.Path()) == "/upload" {
			return hi(ctx, w, r)
		}
		_, err := w.Write(make([]byte, 10<<20))
		return err
	}
	quietly, _ := quiet()
	s := startServer(t, HandlerFunc(big), limits, quietly)
	t.Run("half a preface", func(t *testing.T) {
		p := h2attach(t, s.dial())
		io.WriteString(p.c, http2.ClientPreface[:18])
		io.Copy(io.Discard, p.c) // a reset will do as well
	})
	t.Run("half a frame", func(t *testing.T) {
		p := h2dial(s)
		p.c.Write([]byte{0, 0, 8, 6, 0})
		p.over()
	})
	t.Run("half a head", func(t *testing.T) {
		p := h2dial(s)
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET")})
		p.over()
	})
	t.Run("idle", func(t *testing.T) { h2dial(s).over() })
	t.Run("body", func(t *testing.T) {
		p := h2dial(s)
		p.open(1, "POST", "/upload", false)
		if status, _, reset := p.answered(1); status != "408" && reset == nil {
			t.Errorf("%s, %v", status, reset)
		}
	})
	t.Run("window", func(t *testing.T) {
		p := h2dial(s)
		p.open(1, "GET", "/", true)
		if _, _, reset := p.answered(1); reset == nil || reset.ErrCode != http2.ErrCodeCancel {
			t.Errorf("%v, want CANCEL", reset)
		}
	})
}

func TestServerH2ClosesClientsThatDoNotRead(t *testing.T) {
	quietly, _ := quiet()
	big := func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		_, err := w.Write(make([]byte, 100<<20))
		return err
	}
	s := startServer(t, HandlerFunc(big), quietly, WithServerLimits(ServerLimits{Write: 300 * time.Millisecond}))
	p := h2dial(s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	p.WriteWindowUpdate(0, 1<<30)
	p.open(1, "GET", "/", true)
	if _, err := p.next(); err != nil { // the answer has begun
		t.Fatal(err)
	}
	for start := time.Now(); s.Connections() > 0; time.Sleep(10 * time.Millisecond) { // the limit is in real time
		if time.Since(start) > 10*time.Second {
			t.Fatal("the connection is still there")
		}
	}
}

func TestServerH2ServesOthersBesideOneThatDoesNotRead(t *testing.T) {
	s := startServer(t, HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		if string(r.Path()) == "/big" {
			_, err := w.Write(make([]byte, 10<<20))
			return err
		}
		return hi(ctx, w, r)
	}))
	p := h2dial(s)
	p.WriteWindowUpdate(0, 1<<20)
	for id := uint32(1); id < 21; id += 2 {
		p.open(id, "GET", "/big", true) // each takes its window, and waits
	}
	for id := uint32(21); id < 41; id += 2 {
		p.open(id, "GET", "/", true)
		if status, body, _ := p.answered(id); status != "200" || body != "hi" {
			t.Fatalf("%s %q", status, body)
		}
	}
}

func TestServerH2LimitsRequestsOfAConnection(t *testing.T) {
	s := startServer(t, HandlerFunc(hi), WithServerLimits(ServerLimits{Requests: 3}))
	c := h2c(t)
	for i := range 10 {
		if _, body := fetched(t, c, request(t, "GET", "http://"+s.addr+"/", nil)); body != "hi" {
			t.Fatalf("request %d: %q", i, body)
		}
	}
	p := h2dial(s)
	var stages []string
	for id := uint32(1); id <= 5; id += 2 {
		p.open(id, "GET", "/", true)
		if status, _, _ := p.answered(id); status != "200" {
			t.Errorf("%d: %s", id, status)
		}
	}
	for {
		f, err := p.next()
		if err != nil {
			break
		}
		switch f := f.(type) {
		case *http2.PingFrame:
			p.open(7, "GET", "/", true) // it is under way as the client hears of it
			p.WritePing(true, f.Data)
		case *http2.GoAwayFrame:
			stages = append(stages, fmt.Sprint(f.LastStreamID, f.ErrCode))
			if f.LastStreamID == 7 {
				p.open(9, "GET", "/", true)
			}
		case *http2.MetaHeadersFrame:
			stages = append(stages, fmt.Sprint(f.StreamID))
		}
	}
	if got, want := strings.Join(stages, " "), "2147483647 NO_ERROR 7 7 NO_ERROR"; !strings.HasPrefix(got, want) || strings.Contains(got, " 9") {
		t.Errorf("%s, want %s", got, want)
	}
}
