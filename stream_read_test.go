package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/iotest"
	"time"
)

// A chunkConn is a connection whose reads return one chunk each, and then io.EOF.
// Its writes are counted.
type chunkConn struct {
	net.Conn
	chunks  [][]byte
	writes  [][]byte
	failure error
	closed  int
}

func (c *chunkConn) Read(p []byte) (int, error) {
	if len(c.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.chunks[0])
	if c.chunks[0] = c.chunks[0][n:]; len(c.chunks[0]) == 0 {
		c.chunks = c.chunks[1:]
	}
	return n, nil
}

func (c *chunkConn) Write(p []byte) (int, error) {
	c.writes = append(c.writes, bytes.Clone(p))
	return len(p), c.failure
}

func (c *chunkConn) Close() error { c.closed++; return nil }

func chunked(chunks ...string) *chunkConn {
	c := new(chunkConn)
	for _, x := range chunks {
		c.chunks = append(c.chunks, []byte(x))
	}
	return c
}

func seps(all ...string) (b [][]byte) {
	for _, s := range all {
		b = append(b, []byte(s))
	}
	return b
}

func TestStreamReadUntilTakesWhatEndsFirst(t *testing.T) {
	for _, x := range []struct {
		chunks []string
		seps   []string
		want   string
	}{
		{[]string{"abc\ndef"}, []string{"\n"}, "abc\n"},
		{[]string{"ab", "c\r", "\nx"}, []string{"\r\n"}, "abc\r\n"},
		{[]string{"some dataABCDE"}, []string{"ABCDE", "BC"}, "some dataABC"},
		{[]string{"aXXbX"}, []string{"bX", "XX"}, "aXX"},
		{[]string{"a\r\n"}, []string{"\r\n", "\n"}, "a\r\n"},
		{[]string{"a", "E", "N", "D"}, []string{"END", "DONE"}, "aEND"},
	} {
		s := NewStream(chunked(x.chunks...))
		got, err := s.ReadUntil(seps(x.seps...)...)
		if err != nil || string(got) != x.want {
			t.Errorf("%q until %q: %q, %v; want %q", x.chunks, x.seps, got, err, x.want)
		}
	}
}

func TestStreamEndInsideOfAMessageGivesThePartialData(t *testing.T) {
	s := NewStream(chunked("ab", "cd"))
	_, err := s.ReadExactly(5)
	var in *IncompleteReadError
	if !errors.As(err, &in) || string(in.Partial) != "abcd" || in.Expected != 5 {
		t.Fatalf("ReadExactly: %v", err)
	}
	wantErr(t, "ReadExactly", err, io.ErrUnexpectedEOF)
	_, err = s.ReadUntil([]byte("\n"))
	wantErr(t, "ReadUntil at the end", err, io.EOF)
	if !errors.As(err, &in) || len(in.Partial) != 0 || !s.AtEOF() {
		t.Errorf("at the end: %v", err)
	}
	s = NewStream(chunked("one\ntw", "o"))
	var lines []string
	for line, err := range s.Lines() {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	if !slices.Equal(lines, []string{"one\n", "two"}) {
		t.Errorf("lines: %q", lines)
	}
}

func TestStreamLimitLeavesTheData(t *testing.T) {
	s := NewStream(chunked("0123456789\nrest\n"), WithLimit(4))
	for range 2 {
		_, err := s.ReadLine()
		var over *LimitOverrunError
		if !errors.As(err, &over) || over.Consumed != 10 {
			t.Fatalf("ReadLine: %v", err)
		}
	}
	s.Discard(11)
	if line, err := s.ReadLine(); string(line) != "rest\n" || err != nil {
		t.Errorf("after it: %q, %v", line, err)
	}
	s = NewStream(chunked("01", "23", "4567"), WithLimit(4))
	_, err := s.ReadUntil([]byte("\r\n"))
	var over *LimitOverrunError
	if !errors.As(err, &over) || over.Consumed != 7 || s.Unread() != 8 {
		t.Errorf("without a separator: %v, %d unread", err, s.Unread())
	}
}

func TestStreamReadsAllocateNothing(t *testing.T) {
	s := NewStream(lines64())
	sep := []byte("\n")
	read := func() {
		for _, err := range []error{second(s.ReadLine()), second(s.ReadUntil(sep)), second(s.ReadExactly(64)), second(s.Peek(64))} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2000 { // until the buffer has its size
		read()
	}
	if n := testing.AllocsPerRun(1000, read); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func second(_ []byte, err error) error { return err }

func TestStreamIsAReader(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	c := new(chunkConn)
	for i := 0; i < len(data); i += 700 {
		c.chunks = append(c.chunks, data[i:min(len(data), i+700)])
	}
	if err := iotest.TestReader(NewStream(c), data); err != nil {
		t.Error(err)
	}
}

func TestStreamPeekConsumesNothing(t *testing.T) {
	s := NewStream(chunked("ab", "cd"))
	if p, err := s.Peek(3); string(p) != "abc" || err != nil {
		t.Errorf("Peek: %q, %v", p, err)
	}
	if p, err := s.Peek(9); string(p) != "abcd" || err != io.EOF {
		t.Errorf("Peek over the end: %q, %v", p, err)
	}
	if b, err := s.ReadByte(); b != 'a' || err != nil {
		t.Errorf("ReadByte: %q, %v", b, err)
	}
	if p, err := s.ReadExactly(3); string(p) != "bcd" || err != nil {
		t.Errorf("ReadExactly: %q, %v", p, err)
	}
}

// FuzzStreamRead compares the stream, whose data comes in any pieces, with what a
// search in all of the data finds.
func FuzzStreamRead(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\r\nthree"), []byte{3, 1, 200}, []byte{0, 1, 2, 3, 4, 0}, "\r\n", "\n", 8)
	f.Add([]byte("aEBCbECD"), []byte{1}, []byte{1, 1, 1}, "ECD", "BC", 100)
	f.Add(bytes.Repeat([]byte("x"), 9000), []byte{255}, []byte{0, 2, 0, 1}, "y", "xy", 5000)
	f.Fuzz(func(t *testing.T, data, cuts, ops []byte, a, b string, limit int) {
		if a == "" || b == "" || limit <= 0 || limit > 1<<20 {
			return
		}
		c, rest := new(chunkConn), bytes.Clone(data)
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, int(cuts[i%len(cuts)])+1)
			}
			c.chunks = append(c.chunks, rest[:n])
			rest = rest[n:]
		}
		s, rest := NewStream(c, WithLimit(limit)), data
		for i, op := range ops {
			var got, want []byte
			var err error
			var over *LimitOverrunError
			overrun, incomplete := false, false
			switch op % 4 {
			case 0:
				got, err = s.ReadLine()
				end := bytes.IndexByte(rest, '\n')
				overrun = end > limit || end < 0 && len(rest) > limit
				if want = rest; end >= 0 {
					want = rest[:end+1]
				}
			case 1:
				got, err = s.ReadUntil([]byte(a), []byte(b))
				start, end := naiveUntil(rest, a, b)
				overrun = end > 0 && start > limit || end == 0 && len(rest)+1-max(len(a), len(b)) > limit
				want, incomplete = rest[:end], end == 0
			case 2:
				got, err = s.ReadExactly(int(op))
				incomplete = len(rest) < int(op)
				want = rest[:min(len(rest), int(op))]
			case 3:
				p := make([]byte, op)
				var n int
				n, err = s.Read(p)
				got, want = p[:n], rest[:min(n, len(rest))]
				if n == 0 && op > 0 && len(rest) > 0 {
					t.Fatalf("op %d: Read gives nothing: %v", i, err)
				}
			}
			var in *IncompleteReadError
			switch {
			case overrun:
				if !errors.As(err, &over) {
					t.Fatalf("op %d: no overrun: %q, %v", i, got, err)
				}
				continue // all is still there, and so is the error
			case incomplete:
				if !errors.As(err, &in) || !bytes.Equal(in.Partial, rest) {
					t.Fatalf("op %d: not incomplete: %q, %v", i, got, err)
				}
				rest = nil
				continue
			case err != nil && (err != io.EOF || len(rest) > 0):
				t.Fatalf("op %d: %v", i, err)
			case !bytes.Equal(got, want):
				t.Fatalf("op %d: got %q, want %q", i, got, want)
			}
			rest = rest[len(want):]
		}
		left, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(left, rest) {
			t.Fatalf("left: %q, %v; want %q", left, err, rest)
		}
	})
}

// naiveUntil looks at one prefix after the other.
func naiveUntil(b []byte, seps ...string) (start, end int) {
	slices.SortFunc(seps, func(x, y string) int { return len(x) - len(y) })
	for end = 1; end <= len(b); end++ {
		for _, sep := range seps {
			if bytes.HasSuffix(b[:end], []byte(sep)) {
				return end - len(sep), end
			}
		}
	}
	return 0, 0
}

func TestStreamCanceledReadConsumesNothing(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		b.WriteString("half a li")
		for range 3 {
			err := Timeout(ctx, 5*time.Millisecond, func(context.Context) error { // of a real socket
				_, err := a.ReadLine()
				return err
			})
			wantErr(t, "ReadLine", err, context.DeadlineExceeded)
		}
		b.WriteString("ne\n")
		if line, err := a.ReadLine(); string(line) != "half a line\n" || err != nil {
			t.Errorf("the line: %q, %v", line, err)
		}
		return nil
	})
}

func TestStreamRefusesTwoReaders(t *testing.T) {
	streamPair(t, func(ctx context.Context, a, b *Stream) error {
		first := Spawn(ctx, func(context.Context) (byte, error) { return a.ReadByte() })
		Sleep(ctx, 0)
		_, err := a.ReadLine()
		wantErr(t, "the second reader", err, ErrStreamBusy)
		b.WriteString("x")
		x, err := first.Await(ctx)
		if x != 'x' || err != nil {
			t.Errorf("the first: %q, %v", x, err)
		}
		return nil
	})
}

// streamPair runs main with the two ends of a connection.
func streamPair(t testing.TB, main func(ctx context.Context, a, b *Stream) error, opts ...Option) {
	t.Helper()
	err := Run(func(ctx context.Context) error {
		ln, err := Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		dialed := Spawn(ctx, func(ctx context.Context) (*Stream, error) {
			return OpenStream(ctx, "tcp", ln.Addr().String())
		})
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		b := NewStream(c)
		defer b.Abort()
		a, err := dialed.Await(ctx)
		if err != nil {
			return err
		}
		defer a.Abort()
		return main(ctx, a, b)
	}, append(opts, WithoutSignals())...)
	if err != nil {
		t.Fatal(err)
	}
}
