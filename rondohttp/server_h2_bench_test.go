package rondohttp

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// BenchmarkServerH2 sends the requests of 100 streams in one write, and reads their answers: what is measured is the
// server and a client that hardly does anything. The one of net/http is for comparison.
func BenchmarkServerH2(b *testing.B) {
	native := HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
		w.SetContentType("text/plain")
		_, err := w.WriteString("Hello, world\n")
		return err
	})
	std := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello, world\n")
	})
	b.Run("native", func(b *testing.B) { benchH2(b, startServer(b, native).addr) })
	b.Run("handler", func(b *testing.B) { benchH2(b, startServer(b, std).addr) })
	b.Run("nethttp", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{Handler: std, Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		go s.Serve(ln)
		b.Cleanup(func() { s.Close() })
		benchH2(b, ln.Addr().String())
	})
}

func benchH2(b *testing.B, addr string) {
	const streams = 100
	b.ReportAllocs()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	var out writes
	fr := http2.NewFramer(&out, c)
	fr.SetReuseFrames()
	fr.WriteSettings()
	fr.WriteWindowUpdate(0, 1<<30)
	enc := hpack.NewEncoder(&out.block)
	id := uint32(1)
	for done := 0; done < b.N; {
		for range streams {
			out.block = out.block[:0]
			for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "localhost"}, {Name: "user-agent", Value: "bench"}} {
				enc.WriteField(f)
			}
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: out.block, EndStream: true, EndHeaders: true})
			id += 2
		}
		c.Write(out.all)
		out.all = out.all[:0]
		for n := 0; n < streams; {
			f, err := fr.ReadFrame()
			if err != nil {
				b.Fatal(err)
			}
			if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
				fr.WriteSettingsAck()
			}
			if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
				n++
			}
		}
		done += streams
	}
}

// writes gathers what a client writes.
type writes struct {
	all   []byte
	block blockBuffer
}

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, p...)
	return len(p), nil
}

type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
