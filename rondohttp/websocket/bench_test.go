package websocket

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"testing"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// BenchmarkEcho is one message there and back, both ends on one loop. Reading allocates the message.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range []string{"task", "resting"} {
		for _, size := range []int{64, 16 << 10} {
			b.Run(kind+"/"+strconv.Itoa(size), func(b *testing.B) { benchmarkEcho(b, kind == "resting", size) })
		}
	}
}

func benchmarkEcho(b *testing.B, rest bool, size int) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, nil)
		switch {
		case err != nil:
		case rest:
			resting(r.Context(), c)
		default:
			echoing(r.Context(), c)
		}
	})
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := rondohttp.NewServer(h, rondohttp.WithServerLog(slog.New(slog.DiscardHandler)))
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { return s.Serve(ctx, ln), nil })
		c, err := Dial(ctx, nil, "ws://"+ln.Addr().String()+"/", nil)
		if err != nil {
			return err
		}
		data := bytes.Repeat([]byte("x"), size)
		b.ReportAllocs()
		b.SetBytes(int64(size))
		for b.Loop() {
			if err := c.Write(ctx, Binary, data); err != nil {
				return err
			}
			if _, err := c.Read(ctx); err != nil {
				return err
			}
		}
		c.Close(ctx, StatusNormal, "")
		s.Close()
		served.Await(ctx)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCompress(b *testing.B) {
	text := []byte(`{"id": 123456, "name": "somebody", "text": "a message like many others, of which there are some that are long", "to": ["ada", "bob", "eve"], "at": "2026-11-24T12:00:00Z"}`)
	for name, context := range map[string]bool{"alone": false, "context": true} {
		b.Run(name, func(b *testing.B) {
			d := (&Compression{ContextTakeover: context}).deflate()
			d.sendContext = context
			out := make([]byte, 0, 1024)
			var n int
			b.ReportAllocs()
			for b.Loop() {
				p, err := d.compress(out, text)
				if err != nil {
					b.Fatal(err)
				}
				n = len(p)
			}
			b.ReportMetric(float64(n), "B/message")
		})
	}
}
