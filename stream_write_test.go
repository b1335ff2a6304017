package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo/poll"
)

// A writeCounter counts the writes that its connections begin.
type writeCounter struct {
	poll.Poller
	writes int
}

func (p *writeCounter) Connect(network string, remote net.Addr, o poll.ConnectOptions) (poll.Endpoint, error) {
	e, err := p.Poller.Connect(network, remote, o)
	if err != nil {
		return nil, err
	}
	return &countedEndpoint{e, p}, nil
}

type countedEndpoint struct {
	poll.Endpoint
	p *writeCounter
}

func (e *countedEndpoint) Write(op *poll.Op, p []byte) (int, error, bool) {
	e.p.writes++
	return e.Endpoint.Write(op, p)
}

func TestStreamWritesOfAnIterationLeaveTogether(t *testing.T) {
	inner, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	p := &writeCounter{Poller: inner}
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		for range 10 {
			Spawn(ctx, func(context.Context) (int, error) {
				for range 9 {
					a.WriteString("0123456789")
				}
				return a.Write([]byte("0123456789"))
			})
		}
		Sleep(ctx, 0)
		if p.writes != 0 || a.Buffered() != 1000 {
			t.Errorf("%d writes before the iteration has ended, %d bytes buffered", p.writes, a.Buffered())
		}
		got, err := b.ReadExactly(1000)
		if err != nil || string(got) != strings.Repeat("0123456789", 100) {
			t.Errorf("got %.20q, %v", got, err)
		}
		if p.writes != 1 {
			t.Errorf("%d writes of a hundred", p.writes)
		}
		return nil
	}, WithPoller(p))
}

func TestStreamOverAnyConnWritesTogether(t *testing.T) {
	virtually(t, func(ctx context.Context) error {
		c := chunked()
		s := NewStream(c)
		s.WriteString("one ")
		s.WriteLines([]byte("two "), []byte("three"))
		if s.Buffered() != 13 {
			t.Errorf("%d bytes buffered", s.Buffered())
		}
		Sleep(ctx, 0)
		Sleep(ctx, 0)
		s.WriteString("end")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if len(c.writes) != 2 || string(c.writes[0]) != "one two three" || string(c.writes[1]) != "end" || c.closed != 1 {
			t.Errorf("writes %q, closed %d times", c.writes, c.closed)
		}
		wantErr(t, "a second Close", s.Close(), net.ErrClosed)
		_, err := s.Write([]byte("x"))
		wantErr(t, "Write after Close", err, net.ErrClosed)
		return s.WaitClosed(ctx)
	})
}

func TestStreamDrainKeepsTheWaterMarks(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		const total = 16 << 20
		data := make([]byte, total)
		r := rand.NewChaCha8([32]byte{1})
		r.Read(data)
		var got bytes.Buffer
		reader := Spawn(ctx, func(context.Context) (int64, error) { return io.Copy(&got, b) })
		most, parked := 0, 0
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+int(r.Uint64()%40000))
			if _, err := a.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
			most = max(most, a.Buffered())
			above := a.Buffered() > DefaultHighWater
			if err := a.Drain(ctx); err != nil {
				return err
			}
			if above {
				parked++
				if a.Buffered() > DefaultLowWater {
					t.Errorf("%d bytes after Drain", a.Buffered())
				}
			}
		}
		if parked == 0 || most > DefaultHighWater+40000 {
			t.Errorf("above the mark %d times, at most %d bytes", parked, most)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if _, err := reader.Await(ctx); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%d bytes came, or others", got.Len())
		}
		return a.WaitClosed(ctx)
	})
}

func TestStreamCloseWritesEverything(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		const total = 8 << 20
		a.Write(make([]byte, total)) // far more than sockets hold
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if a.closed {
			t.Error("it is closed before anybody has read")
		}
		n, err := io.Copy(io.Discard, b)
		if n != total || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		return a.WaitClosed(ctx)
	})
}

func TestStreamCloseWriteComesAfterTheData(t *testing.T) {
	for _, size := range []int{5, 8 << 20} {
		streamPair(t, func(ctx context.Context, a, b *Stream) error {
			a.Write(make([]byte, size))
			if err := a.CloseWrite(); err != nil {
				t.Error(err)
			}
			_, err := a.Write([]byte("x"))
			wantErr(t, "Write after CloseWrite", err, net.ErrClosed)
			n, err := io.Copy(io.Discard, b)
			if int(n) != size || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			b.WriteString("reply\n")
			if line, err := a.ReadLine(); string(line) != "reply\n" || err != nil {
				t.Errorf("the other way: %q, %v", line, err)
			}
			return nil
		})
	}
	virtually(t, func(ctx context.Context) error {
		wantErr(t, "CloseWrite", NewStream(chunked()).CloseWrite(), errors.ErrUnsupported)
		return nil
	})
}

func TestStreamDrainReportsAFailedWrite(t *testing.T) {
	broken := errors.New("broken")
	virtually(t, func(ctx context.Context) error {
		c := chunked()
		c.failure = broken
		s := NewStream(c, WithWaterMarks(0, 10))
		if _, err := s.Write(make([]byte, 100)); err != nil {
			t.Errorf("Write: %v", err)
		}
		wantErr(t, "Drain", s.Drain(ctx), broken)
		_, err := s.Write([]byte("x"))
		wantErr(t, "Write", err, broken)
		wantErr(t, "Close", s.Close(), broken)
		wantErr(t, "WaitClosed", s.WaitClosed(ctx), broken)
		return nil
	})
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		a.Write(make([]byte, 8<<20))
		waiting := spawn(ctx, func(ctx context.Context) error { return a.Drain(ctx) })
		Sleep(ctx, 0)
		b.Abort() // with bytes unread: the system resets the connection
		_, err := waiting.Await(ctx)
		if err == nil {
			t.Error("Drain does not know of the reset")
		}
		return nil
	})
}

func TestStreamAbortDropsWhatIsBuffered(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		a.Write(make([]byte, 8<<20))
		waiting := spawn(ctx, func(ctx context.Context) error { return a.Drain(ctx) })
		Sleep(ctx, 0)
		Sleep(ctx, 0)
		if err := a.Abort(); err != nil {
			t.Error(err)
		}
		_, err := waiting.Await(ctx)
		wantErr(t, "Drain", err, net.ErrClosed)
		if a.Buffered() != 0 {
			t.Errorf("%d bytes left", a.Buffered())
		}
		_, err = a.ReadByte()
		wantErr(t, "ReadByte", err, net.ErrClosed)
		return nil
	})
}

func TestStreamCanceledDrainLeavesTheDataAlone(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		const total = 8 << 20
		a.Write(make([]byte, total))
		err := Timeout(ctx, time.Millisecond, a.Drain) // of a real socket
		wantErr(t, "Drain", err, context.DeadlineExceeded)
		if a.Buffered() == 0 {
			t.Error("nothing is buffered")
		}
		_, err = b.Discard(total)
		return err
	})
}

// What is not written when the program ends is dropped; the task that writes it
// holds nobody up.
func TestStreamWriterEndsWithTheLoop(t *testing.T) {
	var s *Stream
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		s = a
		a.Write(make([]byte, 8<<20))
		return a.Close()
	})
	if !s.closed || s.writing {
		t.Errorf("closed %v, writing %v", s.closed, s.writing)
	}
}

func TestStreamOffTheLoop(t *testing.T) {
	c, d := net.Pipe()
	a, b := NewStream(c), NewStream(d)
	go func() {
		a.WriteString("ping\n")
		a.Close()
	}()
	if line, err := b.ReadLine(); string(line) != "ping\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
	if _, err := b.ReadLine(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		_, err := ToThread(ctx, func() (int, error) { return a.Write([]byte("x")) })
		wantErr(t, "Write on a goroutine", err, ErrNotTask)
		_, err = ToThread(ctx, func() (byte, error) { return a.ReadByte() })
		wantErr(t, "ReadByte on a goroutine", err, ErrNotTask)
		return nil
	})
}

func TestStreamWaitFlushedWaitsForAll(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		wantErr(t, "WaitFlushed of nothing", a.WaitFlushed(ctx), nil)
		a.WriteString("some")
		wantErr(t, "WaitFlushed", a.WaitFlushed(ctx), nil)
		if n := a.Buffered(); n > 0 {
			t.Errorf("%d bytes after WaitFlushed", n)
		}
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		a.Write(data)
		// A canceled one stops nothing.
		canceled := spawn(ctx, func(ctx context.Context) error { return a.WaitFlushed(ctx) })
		waiting := spawn(ctx, func(ctx context.Context) error {
			err := a.WaitFlushed(ctx)
			if n := a.Buffered(); n > 0 {
				t.Errorf("%d bytes after WaitFlushed", n)
			}
			return err
		})
		for range 5 {
			Sleep(ctx, 0)
		}
		if waiting.Done() || a.Buffered() == 0 {
			t.Error("16 MiB are with the system: nothing is tested")
		}
		canceled.Cancel("enough")
		_, err := canceled.Await(ctx)
		wantErr(t, "canceled WaitFlushed", err, context.Canceled)
		got, err := b.ReadExactly(4 + len(data))
		if err != nil || !bytes.Equal(got[4:], data) {
			t.Errorf("%d bytes came, or others: %v", len(got), err)
		}
		_, err = waiting.Await(ctx)
		wantErr(t, "WaitFlushed", err, nil)

		a.Write(data)
		waiting = spawn(ctx, func(ctx context.Context) error { return a.WaitFlushed(ctx) })
		Sleep(ctx, 0)
		a.Abort()
		_, err = waiting.Await(ctx)
		wantErr(t, "WaitFlushed of what is aborted", err, net.ErrClosed)
		return nil
	})
}

// The peer of a stream that is aborted sees a reset, also with much unsent.
func TestStreamAbortResets(t *testing.T) {
	for _, size := range []int{0, 10, 16 << 20} {
		runMain(t, func(ctx context.Context) error {
			c, other, err := peer(t, ctx)
			if err != nil {
				return err
			}
			s := NewStream(c)
			s.Write(make([]byte, size))
			Sleep(ctx, 0)
			wantErr(t, "Abort", s.Abort(), nil)
			_, err = ToThread(ctx, func() (int64, error) { return io.Copy(io.Discard, other) })
			if !errors.Is(err, syscall.ECONNRESET) && runtime.GOOS != "windows" {
				t.Errorf("with %d bytes written the peer sees %v", size, err)
			}
			return nil
		})
	}
}
