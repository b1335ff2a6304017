package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// A countingSplicer counts the pipes that are asked for.
type countingSplicer struct {
	poll.Splicer
	pipes int
}

func (s *countingSplicer) Conduit(dst, src poll.Endpoint) (poll.Conduit, error) {
	s.pipes++
	return s.Splicer.Conduit(dst, src)
}

// here returns the running task.
func here() *loop.Task {
	_, t := loop.Current()
	return t
}

// What goes by pipes is what goes by the buffer, between a bulk transfer and small
// messages and back, and pipes are for the bulk.
func TestConnCopyChangesBetweenBufferAndPipe(t *testing.T) {
	runMain(t, func(ctx context.Context) error {
		in, source, err := peer(t, ctx)
		if err != nil {
			return err
		}
		defer in.Close()
		out, sink, err := peer(t, ctx)
		if err != nil {
			return err
		}
		real, able := RunningLoop().k.Poller().(poll.Splicer)
		splicer := &countingSplicer{Splicer: real}
		copied := Spawn(ctx, func(ctx context.Context) (int64, error) {
			var s poll.Splicer
			if able {
				s = splicer
			}
			n, err := copyConnBy(here(), s, out, in)
			return n, errors.Join(err, out.CloseWrite())
		})
		// To and fro off the loop, so that a message is one piece for the copy.
		message := func(p []byte) {
			t.Helper()
			_, err := ToThread(ctx, func() (int, error) {
				go source.Write(p)
				got := make([]byte, len(p))
				n, err := io.ReadFull(sink, got)
				if !bytes.Equal(got, p) {
					t.Errorf("%d bytes of %d came, or others", n, len(p))
				}
				return n, err
			})
			if err != nil {
				t.Error(err)
			}
		}
		small, bulk := pattern(100), pattern(16<<20)
		for range 20 {
			message(small)
		}
		if splicer.pipes > 0 {
			t.Errorf("%d pipes for small messages", splicer.pipes)
		}
		message(bulk)
		if able && splicer.pipes == 0 {
			t.Error("no pipe for a bulk transfer")
		}
		for range 2 * spliceSmall {
			message(small)
		}
		before := splicer.pipes
		for range 5 {
			message(small)
		}
		if splicer.pipes != before {
			t.Error("pipes for small messages after a bulk transfer")
		}
		message(bulk)
		if able && splicer.pipes == before {
			t.Error("no pipe for the second bulk transfer")
		}
		source.CloseWrite()
		want := int64(20+2*spliceSmall+5)*100 + 2*16<<20
		if n, err := copied.Await(ctx); n != want || err != nil {
			t.Errorf("copied %d of %d, %v", n, want, err)
		}
		if n, err := sink.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
		out.Close()
		return nil
	})
}

// A bulk copy that is canceled, or one of whose sides fails, says how much it has
// written and whose error it is.
func TestConnCopyInterrupted(t *testing.T) {
	for _, how := range []string{"canceled", "source reset", "sink reset", "closed"} {
		t.Run(how, func(t *testing.T) {
			runMain(t, func(ctx context.Context) error {
				in, source, err := peer(t, ctx)
				if err != nil {
					return err
				}
				defer in.Close()
				out, sink, err := peer(t, ctx)
				if err != nil {
					return err
				}
				go func() { // for ever
					p := pattern(1 << 20)
					for err := error(nil); err == nil; {
						_, err = source.Write(p)
					}
				}()
				var n int64
				copied := Spawn(ctx, func(context.Context) (int64, error) {
					var err error
					n, err = io.Copy(out, in)
					return n, err
				})
				// Until it must be in the middle, with much behind it, and a full sink.
				got, err := ToThread(ctx, func() (int64, error) { return io.CopyN(io.Discard, sink, 64<<20) })
				if err != nil {
					return err
				}
				switch how {
				case "canceled":
					copied.Cancel("enough")
				case "source reset":
					source.SetLinger(0)
					source.Close()
					go io.Copy(io.Discard, sink)
				case "sink reset":
					sink.SetLinger(0)
					sink.Close()
				case "closed":
					out.Close()
				}
				_, err = copied.Await(ctx)
				op, side := "write", error(syscall.ECONNRESET)
				switch how {
				case "canceled":
					op, side = "", context.Canceled
				case "source reset":
					op = "read"
				case "closed":
					side = net.ErrClosed
				}
				var oe *net.OpError
				if !errors.As(err, &oe) || op != "" && oe.Op != op {
					t.Errorf("error %v, want one of a %s", err, op)
				}
				if !errors.Is(err, side) && !(how == "sink reset" && errors.Is(err, syscall.EPIPE)) && runtime.GOOS != "windows" {
					t.Errorf("error %v, want %v", err, side)
				}
				if how == "canceled" {
					out.Close()
					rest, err := ToThread(ctx, func() (int64, error) { return io.Copy(io.Discard, sink) })
					if got += rest; got != n || err != nil {
						t.Errorf("wrote %d, %d came, %v", n, got, err)
					}
				}
				if n < 64<<20 && how != "closed" {
					t.Errorf("copied %d", n)
				}
				return nil
			})
		})
	}
}
