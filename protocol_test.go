package rondo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// A notebook is a protocol that notes its calls.
type notebook struct {
	t        *Transport
	calls    []string
	received bytes.Buffer
	keep     bool
	on       func(p []byte)
	lost     *Future[error]
}

func newNotebook() *notebook { return &notebook{lost: NewFuture[error]()} }

func (r *notebook) Connected(t *Transport) { r.t = t; r.calls = append(r.calls, "connected") }
func (r *notebook) Received(p []byte) {
	r.received.Write(p)
	if r.on != nil {
		r.on(p)
	}
}
func (r *notebook) Ended() bool    { r.calls = append(r.calls, "ended"); return r.keep }
func (r *notebook) PauseWriting()  { r.calls = append(r.calls, "pause") }
func (r *notebook) ResumeWriting() { r.calls = append(r.calls, "resume") }
func (r *notebook) Lost(err error) { r.calls = append(r.calls, "lost"); r.lost.Set(err) }

func (r *notebook) want(calls string) error {
	if got := strings.Join(r.calls, " "); got != calls {
		return fmt.Errorf("calls %q, want %q", got, calls)
	}
	return nil
}

// withProtocol runs body with a server whose connections' protocol is r, and one
// connection to it.
func withProtocol(t *testing.T, r *notebook, body func(ctx context.Context, c *Conn) error) {
	t.Helper()
	err := Run(func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := NewProtocolServer(func() Protocol { return r })
		server := Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Serve(ctx, ln) })
		c, err := Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		for r.t == nil {
			if err := Sleep(ctx, 0); err != nil {
				return err
			}
		}
		if err := body(ctx, c); err != nil {
			return err
		}
		s.Close()
		s.AbortClients()
		if _, err := server.Await(ctx); !errors.Is(err, ErrServerClosed) {
			return err
		}
		if n := s.Connections(); n != 0 {
			return fmt.Errorf("%d connections left", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProtocolEchoesWithoutTask(t *testing.T) {
	r := newNotebook()
	r.on = func(p []byte) { r.t.Write(p) }
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		for i := range 20 {
			message := strings.Repeat(fmt.Sprint(i), 1+i*i*40)
			io.WriteString(c, message)
			p := make([]byte, len(message))
			if _, err := io.ReadFull(c, p); err != nil || string(p) != message {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		if n := len(Tasks()); n != 2 {
			return fmt.Errorf("%d tasks, want main and the server", n)
		}
		c.CloseWrite()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			return err
		}
		if err, _ := r.lost.Await(ctx); err != nil {
			return fmt.Errorf("lost with %w", err)
		}
		return r.want("connected ended lost")
	})
}

func TestProtocolKeepsHalfOpen(t *testing.T) {
	r := newNotebook()
	r.keep = true
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		c.CloseWrite()
		for len(r.calls) < 2 {
			Sleep(ctx, time.Millisecond)
		}
		r.t.Write([]byte("still "))
		r.t.Write([]byte("here"))
		r.t.WriteEOF()
		all, err := io.ReadAll(c)
		if string(all) != "still here" || err != nil {
			return fmt.Errorf("%q, %w", all, err)
		}
		if _, err := r.t.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("write after the end: %v", err)
		}
		r.t.Close()
		r.lost.Await(ctx)
		return r.want("connected ended lost")
	})
}

// A countingEndpoint counts the writes.
type countingEndpoint struct {
	poll.Endpoint
	writes int
}

func (e *countingEndpoint) Write(op *poll.Op, p []byte) (int, error, bool) {
	e.writes++
	return e.Endpoint.Write(op, p)
}

func TestProtocolSmallWritesLeaveTogether(t *testing.T) {
	r := newNotebook()
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		counted := &countingEndpoint{Endpoint: r.t.conn.e}
		r.t.conn.e = counted
		for i := range 100 {
			fmt.Fprintf(r.t, "%02d", i)
		}
		if _, err := io.ReadFull(c, make([]byte, 200)); err != nil {
			return err
		}
		if counted.writes != 1 {
			return fmt.Errorf("%d writes", counted.writes)
		}
		return nil
	})
}

func TestProtocolFlowControl(t *testing.T) {
	r := newNotebook()
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		sent := 0
		for len(r.calls) == 1 {
			n, err := r.t.Write(make([]byte, 10000))
			if err != nil {
				return err
			}
			sent += n
			Sleep(ctx, 0)
		}
		if n := r.t.Buffered(); n <= writeHigh {
			return fmt.Errorf("paused at %d bytes", n)
		}
		if _, err := io.ReadFull(c, make([]byte, sent)); err != nil {
			return err
		}
		Sleep(ctx, 0)
		if n := r.t.Buffered(); n != 0 {
			return fmt.Errorf("%d bytes left", n)
		}
		return r.want("connected pause resume")
	})
}

func TestProtocolCloseSendsWhatIsLeft(t *testing.T) {
	r := newNotebook()
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		const size = 8 << 20 // more than sockets hold
		r.t.Write(make([]byte, size))
		r.t.Close()
		n, err := io.Copy(io.Discard, onlyReader{c})
		if n != size || err != nil {
			return fmt.Errorf("%d bytes, %w", n, err)
		}
		if err, _ := r.lost.Await(ctx); err != nil {
			return err
		}
		return nil
	})
}

type onlyReader struct{ io.Reader }

func TestProtocolPauseReading(t *testing.T) {
	r := newNotebook()
	r.on = func([]byte) { r.t.PauseReading() }
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		io.WriteString(c, "one")
		for r.received.Len() < 3 {
			Sleep(ctx, time.Millisecond)
		}
		io.WriteString(c, "two")
		Sleep(ctx, 5*time.Millisecond) // real: nothing is to happen
		if got := r.received.String(); got != "one" {
			return fmt.Errorf("paused, but received %q", got)
		}
		r.t.ResumeReading()
		for r.received.Len() < 6 {
			Sleep(ctx, time.Millisecond)
		}
		return nil
	})
}

func TestProtocolPromote(t *testing.T) {
	r := newNotebook()
	r.on = func(p []byte) {
		r.t.Write([]byte("promoted: "))
		_, unread, _ := bytes.Cut(p, []byte("\n"))
		r.t.Promote(unread, func(ctx context.Context, c *Conn, unread []byte) error {
			c.Write(unread)
			_, err := io.Copy(c, onlyReader{c})
			return err
		})
	}
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		io.WriteString(c, "upgrade\nand then ")
		p := make([]byte, len("promoted: and then "))
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "promoted: and then " {
			return fmt.Errorf("%q, %w", p, err)
		}
		io.WriteString(c, "straight on")
		p = p[:len("straight on")]
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "straight on" {
			return fmt.Errorf("%q, %w", p, err)
		}
		c.CloseWrite()
		if _, err := c.Read(p); err != io.EOF {
			return err
		}
		return r.want("connected")
	})
}

func TestProtocolPanicAborts(t *testing.T) {
	var reports []Report
	r := newNotebook()
	r.on = func([]byte) { panic("protocol's") }
	withProtocol(t, r, func(ctx context.Context, c *Conn) error {
		RunningLoop().handler = func(x Report) { reports = append(reports, x) }
		io.WriteString(c, "x")
		if _, err := c.Read(make([]byte, 1)); err == nil {
			return errors.New("connection survived")
		}
		r.lost.Await(ctx)
		if len(reports) != 1 {
			return fmt.Errorf("reports %v", reports)
		}
		return r.want("connected lost")
	})
}

// A filler is a BufferedProtocol.
type filler struct {
	notebook
	buf [3]byte
}

func (f *filler) Buffer() []byte { return f.buf[:] }
func (f *filler) Filled(n int)   { f.received.Write(f.buf[:n]) }

func TestProtocolBuffered(t *testing.T) {
	err := Run(func(ctx context.Context) error {
		a, b, err := SocketPair()
		if err != nil {
			return err
		}
		defer b.Close()
		f := &filler{notebook: *newNotebook()}
		NewTransport(a, f)
		io.WriteString(b, "eleven byte")
		b.CloseWrite()
		if _, err := f.lost.Await(ctx); err != nil {
			return err
		}
		if got := f.received.String(); got != "eleven byte" {
			return fmt.Errorf("received %q", got)
		}
		return f.want("connected ended lost")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkProtocolEcho(b *testing.B) {
	err := Run(func(ctx context.Context) error {
		x, y, err := SocketPair()
		if err != nil {
			return err
		}
		defer y.Close()
		r := &echoing{}
		NewTransport(x, r)
		p := make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := y.Write(p); err != nil {
				return err
			}
			if _, err := y.Read(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

type echoing struct{ t *Transport }

func (e *echoing) Connected(t *Transport) { e.t = t }
func (e *echoing) Received(p []byte)      { e.t.Write(p) }
func (e *echoing) Ended() bool            { return false }
func (e *echoing) Lost(error)             {}
