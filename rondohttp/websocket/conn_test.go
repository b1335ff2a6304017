package websocket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

var compressions = map[string]*Compression{
	"plain":      nil,
	"compressed": {Threshold: 1},
	"context":    {Threshold: 1, ContextTakeover: true},
	"window":     {Threshold: 1, ContextTakeover: true, WindowBits: 9},
}

func TestConnEchoes(t *testing.T) {
	servers := map[string]func(context.Context, *Conn){"task": echoing, "resting": resting}
	for name, compression := range compressions {
		for kind, f := range servers {
			t.Run(name+"/"+kind, func(t *testing.T) {
				o := &Options{Compression: compression, MessageLimit: 4 << 20}
				run(t, accepting(t, o, f), func(ctx context.Context, s *site) {
					c := s.dial(t, ctx, o)
					if c.Compressed() != (compression != nil) {
						t.Fatalf("compressed: %v", c.Compressed())
					}
					for _, n := range []int{0, 1, 125, 126, 65535, 65536, 300_000, 2 << 20} {
						for _, typ := range []MessageType{Text, Binary} {
							data := bytes.Repeat([]byte("rondo "), n/6+1)[:n]
							if err := c.Write(ctx, typ, data); err != nil {
								t.Fatalf("write of %d: %v", n, err)
							}
							m, err := c.Read(ctx)
							if err != nil || m.Type != typ || !bytes.Equal(m.Data, data) {
								t.Fatalf("%v of %d: %v, %d bytes, %v", typ, n, m.Type, len(m.Data), err)
							}
						}
					}
					if err := c.Close(ctx, StatusNormal, "bye"); err != nil {
						t.Errorf("close: %v", err)
					}
					if err := c.Write(ctx, Text, nil); !errors.Is(err, net.ErrClosed) {
						t.Errorf("write after close: %v", err)
					}
				})
			})
		}
	}
}

func TestAcceptRefusesWhatIsNoHandshake(t *testing.T) {
	h := accepting(t, &Options{Origins: []string{"*.example.org", "example.net:8080"}}, echoing)
	run(t, h, func(ctx context.Context, s *site) {
		session := rondohttp.NewSession()
		defer session.Close()
		r, err := session.Get(ctx, "http://"+s.address+"/")
		if err != nil || r.Status != http.StatusUpgradeRequired || r.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("a plain GET: %v %v", r.Status, err)
		}
		r.Close()
		for origin, want := range map[string]int{
			"http://" + s.address: 101, "https://evil.example": 403, "https://example.org": 403, "https://a.example.org": 101,
			"http://a.example.org:99": 101, "http://example.net": 403, "http://example.net:8080": 101, "null": 403, "://": 403,
		} {
			p, r := s.raw(t, ctx, "Origin: "+origin+"\r\n")
			if r.StatusCode != want {
				t.Errorf("origin %q: %d, want %d", origin, r.StatusCode, want)
			}
			p.Close()
		}
		_, err = Dial(ctx, nil, "ws://"+s.address+"/", &Options{Header: http.Header{"Origin": {"http://other"}}})
		var status *rondohttp.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusForbidden {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestAcceptChoosesSubprotocol(t *testing.T) {
	h := accepting(t, &Options{Subprotocols: []string{"v2", "v1"}, Header: http.Header{"X-Served": {"yes"}}}, echoing)
	run(t, h, func(ctx context.Context, s *site) {
		for _, c := range []struct {
			offered []string
			want    string
		}{{[]string{"v1", "v2"}, "v2"}, {[]string{"v0", "v1"}, "v1"}, {[]string{"v0"}, ""}, {nil, ""}} {
			x := s.dial(t, ctx, &Options{Subprotocols: c.offered})
			if x.Subprotocol() != c.want {
				t.Errorf("%q: %q, want %q", c.offered, x.Subprotocol(), c.want)
			}
			x.Close(ctx, StatusNormal, "")
		}
		if _, r := s.raw(t, ctx); r.Header.Get("X-Served") != "yes" || r.Header.Get("Sec-WebSocket-Accept") != acceptOf("AAAAAAAAAAAAAAAAAAAAAA==") {
			t.Errorf("answer: %v", r.Header)
		}
	})
}

func TestConnClosesBeyondLimits(t *testing.T) {
	for name, c := range map[string]struct {
		server *Options
		data   []byte
	}{
		"message":      {&Options{MessageLimit: 1000}, make([]byte, 1001)},
		"frame":        {&Options{FrameLimit: 1000}, make([]byte, 1001)},
		"decompressed": {&Options{MessageLimit: 1000, Compression: &Compression{}}, make([]byte, 100_000)},
	} {
		for kind, f := range map[string]func(context.Context, *Conn){"task": echoing, "resting": resting} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				run(t, accepting(t, c.server, f), func(ctx context.Context, s *site) {
					x := s.dial(t, ctx, &Options{Compression: &Compression{}})
					x.Write(ctx, Binary, c.data[:1000])
					if _, err := x.Read(ctx); err != nil {
						t.Fatalf("within the limit: %v", err)
					}
					x.Write(ctx, Binary, c.data)
					if _, err := x.Read(ctx); CloseStatus(err) != StatusTooBig {
						t.Errorf("beyond the limit: %v", err)
					}
				})
			})
		}
	}
}

func TestConnReadCanceledLosesNothing(t *testing.T) {
	step := make([]*rondo.Future[struct{}], 2)
	send := func(ctx context.Context, c *Conn) {
		defer c.CloseNow()
		w, _ := c.Writer(ctx, Text)
		w.Write([]byte("one "))
		step[0].Await(ctx)
		w.Write([]byte("message"))
		w.Close()
		step[1].Await(ctx)
		c.Write(ctx, Binary, []byte("another"))
		c.Read(ctx)
	}
	for name, cut := range map[string]func(ctx context.Context, f func(context.Context) error) error{
		"block": func(ctx context.Context, f func(context.Context) error) error {
			return rondo.Timeout(ctx, 10*time.Millisecond, f)
		},
		"context": func(ctx context.Context, f func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			return f(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			step[0], step[1] = rondo.NewFuture[struct{}](), rondo.NewFuture[struct{}]()
			run(t, accepting(t, nil, send), func(ctx context.Context, s *site) {
				c := s.dial(t, ctx, nil)
				for i, want := range []string{"one message", "another"} {
					// Real time: what arrives meanwhile comes through the system.
					err := cut(ctx, func(ctx context.Context) error { _, err := c.Read(ctx); return err })
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("cut: %v", err)
					}
					step[i].Set(struct{}{})
					if m, err := c.Read(ctx); err != nil || string(m.Data) != want {
						t.Fatalf("read: %q %v", m.Data, err)
					}
				}
				c.Close(ctx, StatusNormal, "")
			})
		})
	}
}

func TestConnStreamsMessages(t *testing.T) {
	run(t, accepting(t, nil, func(ctx context.Context, c *Conn) {
		defer c.CloseNow()
		typ, r, err := c.Reader(ctx)
		if err != nil {
			return
		}
		w, err := c.Writer(ctx, typ)
		if err != nil {
			return
		}
		io.Copy(w, r)
		w.Close()
		c.Reader(ctx) // is skipped in part
		echoing(ctx, c)
	}), func(ctx context.Context, s *site) {
		c := s.dial(t, ctx, nil)
		long := bytes.Repeat([]byte("xyzzy"), 100_000)
		writer := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			w, err := c.Writer(ctx, Text)
			if err != nil {
				return struct{}{}, err
			}
			for p := range slices.Chunk(long, 7777) {
				if _, err := w.Write(p); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, w.Close()
		})
		m, err := c.Read(ctx)
		if err != nil || m.Type != Text || !bytes.Equal(m.Data, long) {
			t.Fatalf("streamed: %d bytes, %v", len(m.Data), err)
		}
		if _, err := writer.Await(ctx); err != nil {
			t.Fatal(err)
		}
		c.Write(ctx, Binary, long)
		c.Write(ctx, Binary, []byte("next"))
		if m, err := c.Read(ctx); err != nil || string(m.Data) != "next" {
			t.Fatalf("after a message that was skipped: %d bytes, %v", len(m.Data), err)
		}
		c.Close(ctx, StatusNormal, "")
	})
}

func TestConnWritersTakeTurns(t *testing.T) {
	run(t, accepting(t, &Options{Compression: &Compression{}}, echoing), func(ctx context.Context, s *site) {
		c := s.dial(t, ctx, &Options{Compression: &Compression{ContextTakeover: true}})
		const writers, each = 20, 20
		rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for i := range writers {
				g.Go(func(ctx context.Context) error {
					for range each {
						if err := c.Write(ctx, Text, bytes.Repeat([]byte{'a' + byte(i)}, 50*(i+1)*(i+1))); err != nil {
							return err
						}
					}
					return nil
				})
			}
			counts := map[byte]int{}
			for range writers * each {
				m, err := c.Read(ctx)
				if err != nil {
					t.Error(err)
					return err
				}
				i := int(m.Data[0] - 'a')
				if len(m.Data) != 50*(i+1)*(i+1) || strings.Trim(string(m.Data), string(m.Data[:1])) != "" {
					t.Errorf("message of writer %d: %d bytes", i, len(m.Data))
				}
				counts[m.Data[0]]++
			}
			for b, n := range counts {
				if n != each {
					t.Errorf("writer %c: %d", b, n)
				}
			}
			return nil
		})
		c.Close(ctx, StatusNormal, "")
	})
}

func TestConnSlowReaderParksWriter(t *testing.T) {
	wrote := 0
	stuck := rondo.NewFuture[error]()
	run(t, accepting(t, nil, func(ctx context.Context, c *Conn) {
		data := make([]byte, 64<<10)
		err := rondo.Timeout(ctx, 200*time.Millisecond, func(ctx context.Context) error { // real time: the system's buffers have to fill
			for {
				if err := c.Write(ctx, Binary, data); err != nil {
					return err
				}
				wrote += len(data)
			}
		})
		stuck.Set(err)
		c.CloseNow()
	}), func(ctx context.Context, s *site) {
		p, _ := s.raw(t, ctx)
		defer p.Close()
		err, _ := stuck.Await(ctx)
		if !errors.Is(err, os.ErrDeadlineExceeded) || wrote > 64<<20 {
			t.Errorf("wrote %d bytes: %v", wrote, err)
		}
	})
}

func TestConnCloseTellsPeer(t *testing.T) {
	for kind, how := range map[string]func(got *error, done *rondo.Future[struct{}]) func(context.Context, *Conn){
		"task": func(got *error, done *rondo.Future[struct{}]) func(context.Context, *Conn) {
			return func(ctx context.Context, c *Conn) {
				_, *got = c.Read(ctx)
				done.Set(struct{}{})
			}
		},
		"resting": func(got *error, done *rondo.Future[struct{}]) func(context.Context, *Conn) {
			return func(ctx context.Context, c *Conn) {
				c.OnMessage(func(context.Context, *Conn, Message) error { return nil }, func(_ *Conn, err error) {
					*got = err
					done.Set(struct{}{})
				})
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			var got error
			done := rondo.NewFuture[struct{}]()
			run(t, accepting(t, nil, how(&got, done)), func(ctx context.Context, s *site) {
				c := s.dial(t, ctx, nil)
				reader := rondo.Spawn(ctx, func(ctx context.Context) (error, error) { _, err := c.Read(ctx); return err, nil })
				if err := c.Close(ctx, 4321, "as agreed"); err != nil {
					t.Fatalf("close: %v", err)
				}
				done.Await(ctx)
				var e *CloseError
				if !errors.As(got, &e) || e.Code != 4321 || e.Reason != "as agreed" || e.Local {
					t.Errorf("the server has read: %v", got)
				}
				if err, _ := reader.Await(ctx); !errors.As(err, &e) || e.Code != 4321 || !e.Local || !errors.Is(err, net.ErrClosed) {
					t.Errorf("the reader beside Close: %v", err)
				}
				if err := c.Close(ctx, StatusNormal, ""); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second close: %v", err)
				}
			})
		})
	}
}

func TestConnCloseGivesUpOnPeer(t *testing.T) {
	done := rondo.NewFuture[error]()
	run(t, accepting(t, &Options{CloseTimeout: 30 * time.Millisecond}, func(ctx context.Context, c *Conn) {
		done.Set(c.Close(ctx, StatusNormal, "")) // real time: the peer is silent
	}), func(ctx context.Context, s *site) {
		p, _ := s.raw(t, ctx)
		err, _ := done.Await(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		if b, err := io.ReadAll(p); err != nil || string(b) != "\x88\x02\x03\xe8" {
			t.Errorf("the peer has read %q %v", b, err)
		}
	})
}

func TestConnPings(t *testing.T) {
	run(t, accepting(t, nil, resting), func(ctx context.Context, s *site) {
		c := s.dial(t, ctx, nil)
		reader := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { c.Read(ctx); return struct{}{}, nil })
		for range 3 {
			if err := c.Ping(ctx); err != nil {
				t.Errorf("ping: %v", err)
			}
		}
		c.CloseNow()
		reader.Await(ctx)
		if err := c.Ping(ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ping after the end: %v", err)
		}
	})
}

func TestConnGivesUpSilentPeer(t *testing.T) {
	o := &Options{PingInterval: 20 * time.Millisecond, PongTimeout: 40 * time.Millisecond} // real time: it is the system that is silent
	for kind, rest := range map[string]bool{"task": false, "resting": true} {
		t.Run(kind, func(t *testing.T) {
			done := rondo.NewFuture[error]()
			run(t, accepting(t, o, func(ctx context.Context, c *Conn) {
				if rest {
					c.OnMessage(func(context.Context, *Conn, Message) error { return nil }, func(_ *Conn, err error) { done.Set(err) })
					return
				}
				_, err := c.Read(ctx)
				done.Set(err)
			}), func(ctx context.Context, s *site) {
				c := s.dial(t, ctx, nil)
				alive := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { c.Read(ctx); return struct{}{}, nil })
				rondo.Sleep(ctx, 150*time.Millisecond)
				if done.Done() {
					t.Error("a peer that answers was given up")
				}
				alive.Cancel("")
				if err, _ := done.Await(ctx); !errors.Is(err, ErrPongTimeout) {
					t.Errorf("silent: %v", err)
				}
				c.CloseNow()
			})
		})
	}
}

func TestServerShutdownTakesLeave(t *testing.T) {
	for kind, f := range map[string]func(context.Context, *Conn){"task": echoing, "resting": resting} {
		t.Run(kind, func(t *testing.T) {
			run(t, accepting(t, nil, f), func(ctx context.Context, s *site) {
				var all []*rondo.Task[error]
				for range 5 {
					c := s.dial(t, ctx, nil)
					if err := c.Write(ctx, Text, []byte("x")); err != nil {
						t.Fatal(err)
					}
					if _, err := c.Read(ctx); err != nil {
						t.Fatal(err)
					}
					all = append(all, rondo.Spawn(ctx, func(ctx context.Context) (error, error) { _, err := c.Read(ctx); return err, nil }))
				}
				rondo.Sleep(ctx, 0)
				if err := s.Shutdown(ctx); err != nil {
					t.Errorf("shutdown: %v", err)
				}
				for _, x := range all {
					if err, _ := x.Await(ctx); CloseStatus(err) != StatusGoingAway {
						t.Errorf("client: %v", err)
					}
				}
			})
		})
	}
}

func TestServerShutdownGivesUp(t *testing.T) {
	ended := rondo.NewFuture[error]()
	h := accepting(t, nil, func(_ context.Context, c *Conn) {
		c.OnMessage(func(context.Context, *Conn, Message) error { return nil }, func(_ *Conn, err error) { ended.Set(err) })
	})
	run(t, h, func(ctx context.Context, s *site) {
		p, _ := s.raw(t, ctx)
		defer p.Close()
		for s.Connections() == 0 {
			rondo.Sleep(ctx, 0)
		}
		err := rondo.Timeout(ctx, 30*time.Millisecond, s.Shutdown) // real time: the peer does not answer
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if err, _ := ended.Await(ctx); err == nil {
			t.Error("closed without a cause")
		}
	})
}

func TestOnMessageErrorCloses(t *testing.T) {
	for _, c := range []struct {
		fail func() error
		want StatusCode
	}{
		{func() error { return errors.New("no") }, StatusInternalError},
		{func() error { return &CloseError{Code: 4000, Reason: "because"} }, 4000},
		{func() error { panic("oops") }, StatusInternalError},
	} {
		run(t, accepting(t, nil, func(_ context.Context, x *Conn) {
			x.OnMessage(func(context.Context, *Conn, Message) error { return c.fail() }, nil)
		}), func(ctx context.Context, s *site) {
			x := s.dial(t, ctx, nil)
			x.Write(ctx, Text, []byte("x"))
			if _, err := x.Read(ctx); CloseStatus(err) != c.want {
				t.Errorf("got %v, want %d", err, c.want)
			}
		})
	}
}

func TestConnClosedFromElsewhereWhileResting(t *testing.T) {
	var conn *Conn
	ended := rondo.NewFuture[error]()
	ready := rondo.NewFuture[struct{}]()
	run(t, accepting(t, nil, func(_ context.Context, c *Conn) {
		conn = c
		c.OnMessage(func(context.Context, *Conn, Message) error { return nil }, func(_ *Conn, err error) { ended.Set(err) })
		ready.Set(struct{}{})
	}), func(ctx context.Context, s *site) {
		c := s.dial(t, ctx, nil)
		ready.Await(ctx)
		rondo.Sleep(ctx, time.Millisecond) // until it rests
		conn.CloseNow()
		if _, err := c.Read(ctx); err == nil {
			t.Error("the client reads on")
		}
		if err, _ := ended.Await(ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		for s.Connections() > 0 {
			rondo.Sleep(ctx, time.Millisecond)
		}
	})
}

func TestAcceptUnderNetHTTP(t *testing.T) {
	for kind, f := range map[string]func(context.Context, *Conn){"goroutine": echoing, "callback": resting} {
		t.Run(kind, func(t *testing.T) {
			srv := httptest.NewServer(accepting(t, &Options{Compression: &Compression{ContextTakeover: true}}, f))
			defer srv.Close()
			err := rondo.Run(func(ctx context.Context) error {
				c, err := Dial(ctx, nil, srv.URL, &Options{Compression: &Compression{}})
				if err != nil {
					return err
				}
				for i := range 100 {
					text := strings.Repeat(fmt.Sprint(i), 500)
					if err := c.Write(ctx, Text, []byte(text)); err != nil {
						return err
					}
					if m, err := c.Read(ctx); err != nil || string(m.Data) != text {
						return fmt.Errorf("%q %w", m.Data, err)
					}
				}
				return c.Close(ctx, StatusNormal, "")
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestConnFailsOnWrongFrames(t *testing.T) {
	for name, c := range map[string]struct {
		frame string
		want  StatusCode
	}{
		"unmasked":            {"\x81\x01x", StatusProtocolError},
		"reserved op code":    {"\x83\x80\x00\x00\x00\x00", StatusProtocolError},
		"reserved bit":        {"\xa1\x80\x00\x00\x00\x00", StatusProtocolError},
		"compressed unasked":  {"\xc1\x80\x00\x00\x00\x00", StatusProtocolError},
		"continuation":        {"\x80\x80\x00\x00\x00\x00", StatusProtocolError},
		"long ping":           {"\x89\xfe\x00\x7e\x00\x00\x00\x00", StatusProtocolError},
		"fragmented ping":     {"\x09\x80\x00\x00\x00\x00", StatusProtocolError},
		"negative length":     {"\x82\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", StatusProtocolError},
		"huge length":         {"\x82\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", StatusTooBig},
		"wasteful length":     {"\x81\xfe\x00\x01\x00\x00\x00\x00x", StatusProtocolError},
		"half a close code":   {"\x88\x81\x00\x00\x00\x00x", StatusProtocolError},
		"close code 1005":     {"\x88\x82\x00\x00\x00\x00\x03\xed", StatusProtocolError},
		"text is not UTF-8":   {"\x81\x81\x00\x00\x00\x00\xff", StatusInvalidData},
		"text ends too early": {"\x81\x82\x00\x00\x00\x00\xe2\x82", StatusInvalidData},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, accepting(t, nil, echoing), func(ctx context.Context, s *site) {
				p, _ := s.raw(t, ctx)
				defer p.Close()
				io.WriteString(p.Conn, c.frame)
				b, err := io.ReadAll(p)
				if err != nil || len(b) < 4 || b[0] != 0x88 {
					t.Fatalf("read %q %v", b, err)
				}
				if code, _ := ws.ParseCloseFrameData(b[2:]); StatusCode(code) != c.want {
					t.Errorf("closed with %d, want %d", code, c.want)
				}
			})
		})
	}
}

func TestServeCanceledEndsThoseAtRest(t *testing.T) {
	err := rondo.Run(func(ctx context.Context) error {
		ended := 0
		s := newSite(accepting(t, nil, func(_ context.Context, c *Conn) {
			c.OnMessage(func(ctx context.Context, c *Conn, m Message) error {
				if err := c.Write(ctx, m.Type, m.Data); err != nil {
					return err
				}
				rondo.Sleep(ctx, time.Hour) // the second one is in its callback
				return nil
			}, func(*Conn, error) { ended++ })
		}))
		ready := rondo.NewFuture[struct{}]()
		served := rondo.Spawn(ctx, func(ctx context.Context) (error, error) {
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", s.listening(ready)), nil
		})
		ready.Await(ctx)
		rests, busy := s.dial(t, ctx, nil), s.dial(t, ctx, nil)
		busy.Write(ctx, Text, []byte("x"))
		if _, err := busy.Read(ctx); err != nil {
			t.Fatal(err)
		}
		served.Cancel("")
		if err, _ := served.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("served: %v", err)
		}
		for _, c := range []*Conn{rests, busy} {
			if _, err := c.Read(ctx); err == nil {
				t.Error("a client reads on")
			}
		}
		if ended != 2 {
			t.Errorf("%d of 2 were told", ended)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
