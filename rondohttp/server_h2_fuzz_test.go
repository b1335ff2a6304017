package rondohttp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A piecewiseH2 is a piecewise connection that is closed in the end.
type piecewiseH2 struct{ piecewise }

func (p *piecewiseH2) Close() error { return nil }

func (p *piecewiseH2) SetReadDeadline(time.Time) error { return nil }

// h2session returns the frames of a client, after the settings.
func h2session(t testing.TB, send func(p *h2peer)) []byte {
	var out bytes.Buffer
	p := &h2peer{t: t, Framer: http2.NewFramer(&out, nil)}
	p.enc = hpack.NewEncoder(&p.buf)
	p.AllowIllegalWrites = true
	send(p)
	return out.Bytes()
}

// FuzzServerH2 sends frames as they come, whole and in pieces, to both faces: what is answered are well-formed frames
// on streams that the client has opened, nothing panics, and no request is left.
func FuzzServerH2(f *testing.F) {
	for _, send := range []func(p *h2peer){
		func(p *h2peer) { p.open(1, "GET", "/", true); p.open(3, "HEAD", "/a?b", true, "cookie", "a") },
		func(p *h2peer) {
			p.open(1, "POST", "/", false, "content-length", "6")
			p.WriteData(1, false, []byte("abc"))
			p.open(3, "GET", "/", true)
			p.WriteDataPadded(1, true, []byte("abc"), make([]byte, 3))
		},
		func(p *h2peer) {
			p.open(1, "PUT", "/", false, "expect", "100-continue")
			p.WriteRSTStream(1, http2.ErrCodeCancel)
			p.WriteWindowUpdate(0, 100)
			p.WriteWindowUpdate(1, 100)
			p.WritePing(false, [8]byte{})
			p.WriteGoAway(0, http2.ErrCodeNo, nil)
		},
		func(p *h2peer) {
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET", ":scheme", "http"), EndStream: false, Priority: http2.PriorityParam{StreamDep: 3}})
			p.WriteContinuation(1, true, p.block(":path", "/", "x", strings.Repeat("y", 100)))
			p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
			p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block("trailer", "x"), EndStream: true, EndHeaders: true})
			p.WritePriority(5, http2.PriorityParam{StreamDep: 1})
		},
	} {
		f.Add(h2session(f, send), uint8(5))
	}
	quietly, log := quiet()
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		in = append([]byte(http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), in...)
		for _, h := range []http.Handler{HandlerFunc(hi), http.HandlerFunc(helloHTTP)} {
			s := NewServer(h, quietly)
			for _, n := range []int{len(in), int(size) + 1} {
				p := &piecewiseH2{piecewise{in: in, size: n}}
				err := rondo.Run(func(ctx context.Context) error {
					c := newServerH2(s, p, p, nil)
					for {
						if rest, err := c.serve(ctx); !rest {
							if len(c.served) > 0 || len(c.streams) > 0 {
								t.Errorf("%d requests are left, %d streams", len(c.served), len(c.streams))
							}
							return err
						}
					}
				}, rondo.WithoutSignals())
				if err != nil {
					t.Fatal(err)
				}
				wellFormed(t, p.out.Bytes())
			}
		}
		if strings.Contains(log.String(), "panicked") {
			t.Fatal(log.String())
		}
	})
}

// wellFormed checks the frames that a server has sent.
func wellFormed(t *testing.T, out []byte) {
	t.Helper()
	fr := http2.NewFramer(nil, bytes.NewReader(out))
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	ended := make(map[uint32]bool)
	for {
		f, err := fr.ReadFrame()
		if err == io.EOF || err == io.ErrUnexpectedEOF { // a reader that is gone ends the answers anywhere
			return
		}
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		id, end := f.Header().StreamID, false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			end = f.StreamEnded()
		case *http2.DataFrame:
			end = f.StreamEnded()
		case *http2.RSTStreamFrame:
			ended[id] = true
			continue
		default:
			continue
		}
		if id == 0 || id%2 == 0 || ended[id] {
			t.Fatalf("%v after the end of its stream, or of none: %q", f, out)
		}
		ended[id] = end
	}
}
