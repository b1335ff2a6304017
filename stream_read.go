package rondo

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"math"
)

// A streamReader is the reading half of a [Stream]: buf[r:w] is what has come and
// was not consumed.
//
// What is returned is a part of the buffer, so that reading allocates nothing.
// The buffer is moved only by a read that needs more data, and bytes are only
// consumed by a read that succeeds, so one that is canceled leaves all in place.
type streamReader struct {
	buf     []byte
	r, w    int
	readErr error // came with data, and is to be returned after it; or io.EOF
	filling bool
	full    bool // the last read filled the whole buffer
}

// Sizes of the reading buffer.
const (
	readFirst = 4 << 10  // at the start
	readMost  = 64 << 10 // to which it grows if that saves system calls
	readKept  = 1 << 20  // more than that is given back
)

// fill reads once from the connection, parking until there is something.
func (s *Stream) fill() error {
	if err := s.readable(); err != nil {
		return err
	}
	s.makeRoom()
	for range 100 {
		s.filling = true
		n, err := s.conn.Read(s.buf[s.w:])
		s.filling = false
		s.full = n == len(s.buf)
		s.w += n
		if n > 0 {
			s.readErr = err
			return nil
		}
		if err != nil {
			if err == io.EOF {
				s.readErr = err
			}
			return err
		}
	}
	return io.ErrNoProgress
}

// readable says why nothing can be read from the connection now.
func (s *Stream) readable() error {
	if err := s.readErr; err != nil {
		if err != io.EOF {
			s.readErr = nil
		}
		return err
	}
	if s.filling {
		return ErrStreamBusy
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	return nil
}

// makeRoom makes place behind the data.
func (s *Stream) makeRoom() {
	if s.r == s.w {
		s.r, s.w = 0, 0
		switch {
		case len(s.buf) == 0 || len(s.buf) > readKept:
			s.buf = make([]byte, readFirst)
		case s.full && len(s.buf) < readMost:
			s.buf = make([]byte, 2*len(s.buf))
		}
		return
	}
	switch free := len(s.buf) - s.w; {
	case s.r > 0 && free < len(s.buf)/4:
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	case free == 0:
		larger := make([]byte, 2*len(s.buf))
		s.w = copy(larger, s.buf)
		s.buf = larger
	}
}

// take consumes the next n bytes.
func (s *Stream) take(n int) []byte {
	p := s.buf[s.r : s.r+n : s.r+n]
	s.r += n
	return p
}

// incomplete is what a read ends with that got err before it had enough.
func (s *Stream) incomplete(err error, expected int) error {
	if err != io.EOF {
		return err
	}
	return &IncompleteReadError{bytes.Clone(s.take(s.w - s.r)), expected}
}

// Read implements io.Reader: it parks only if the buffer is empty. A large p is
// read into directly.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.r == s.w {
		if len(p) >= max(len(s.buf), readFirst) {
			return s.readDirect(p)
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	return n, nil
}

func (s *Stream) readDirect(p []byte) (int, error) {
	if err := s.readable(); err != nil {
		return 0, err
	}
	s.filling = true
	n, err := s.conn.Read(p)
	s.filling = false
	if err == io.EOF {
		s.readErr = err
	}
	return n, err
}

// ReadByte implements io.ByteReader.
func (s *Stream) ReadByte() (byte, error) {
	if s.r == s.w {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	s.r++
	return s.buf[s.r-1], nil
}

// ReadLine returns the next line with its newline, parking until that is there.
// The line is the stream's memory, and holds until the next call that reads. The
// last line may be without a newline. It is asyncio's readline, but for a line
// over the limit, which it leaves in the stream.
//
// Errors:
//   - io.EOF at the end.
//   - a [LimitOverrunError] if the line is longer than the limit.
//   - those of the connection's Read; nothing was consumed.
func (s *Stream) ReadLine() ([]byte, error) {
	seen := 0
	for {
		b := s.buf[s.r:s.w]
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			if i += seen; i > s.limit {
				return nil, &LimitOverrunError{i, s.limit}
			}
			return s.take(i + 1), nil
		}
		if seen = len(b); seen > s.limit {
			return nil, &LimitOverrunError{seen, s.limit}
		}
		if err := s.fill(); err != nil {
			if err == io.EOF && seen > 0 {
				return s.take(seen), nil
			}
			return nil, err
		}
	}
}

// Lines ranges over the lines that are left, as ReadLine returns them. An error
// but io.EOF is the last pair.
func (s *Stream) Lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			line, err := s.ReadLine()
			if err == io.EOF || !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// ReadUntil returns what comes next, up to and with the first of the separators
// that is complete, parking until one is. Of those that are complete at the same
// byte, the shortest counts. The result is the stream's memory, and holds until
// the next call that reads. It is asyncio's readuntil.
//
// Errors:
//   - an [IncompleteReadError] at the end; what there was is consumed.
//   - a [LimitOverrunError] if more than the limit comes before the separator.
//   - those of the connection's Read; nothing was consumed.
//
// It panics without a separator, and with an empty one.
func (s *Stream) ReadUntil(separators ...[]byte) ([]byte, error) {
	longest, shortest := 0, math.MaxInt
	for _, sep := range separators {
		longest, shortest = max(longest, len(sep)), min(shortest, len(sep))
	}
	if len(separators) == 0 || shortest == 0 {
		panic("rondo: ReadUntil without a separator, or with an empty one")
	}
	seen := 0 // no separator begins before it
	for {
		b := s.buf[s.r:s.w]
		if start, end := findFirst(b, seen, longest, separators); end > 0 {
			if start > s.limit {
				return nil, &LimitOverrunError{start, s.limit}
			}
			return s.take(end), nil
		}
		if seen = max(0, len(b)+1-longest); seen > s.limit {
			return nil, &LimitOverrunError{seen, s.limit}
		}
		if err := s.fill(); err != nil {
			return nil, s.incomplete(err, 0)
		}
	}
}

// findFirst finds the separator in b[from:] that ends first, and of several the
// shortest. End is 0 if there is none.
func findFirst(b []byte, from, longest int, separators [][]byte) (start, end int) {
	if len(separators) == 1 {
		if i := bytes.Index(b[from:], separators[0]); i >= 0 {
			return from + i, from + i + len(separators[0])
		}
		return 0, 0
	}
	// One that does not occur must not have all of the buffer searched for each
	// message, so they are looked for together, in larger and larger parts.
	for size := 256 + longest; ; size *= 2 {
		to := min(len(b), from+size)
		for _, sep := range separators {
			i := bytes.Index(b[from:to], sep)
			if i < 0 {
				continue
			}
			i += from
			if e := i + len(sep); end == 0 || e < end || e == end && i > start {
				start, end = i, e
				to = e
			}
		}
		if end > 0 || to == len(b) {
			return start, end
		}
		from = to + 1 - longest
	}
}

// ReadExactly returns the next n bytes, parking until all are there. The result
// is the stream's memory, and holds until the next call that reads. The limit does
// not count.
//
// Errors:
//   - an [IncompleteReadError] at the end; what there was is consumed.
//   - those of the connection's Read; nothing was consumed.
func (s *Stream) ReadExactly(n int) ([]byte, error) {
	if n < 0 {
		panic("rondo: ReadExactly of a negative number")
	}
	for s.w-s.r < n {
		if err := s.fill(); err != nil {
			return nil, s.incomplete(err, n)
		}
	}
	return s.take(n), nil
}

// Peek is [Stream.ReadExactly] without consuming anything. With an error it
// returns what there is; at the end that is io.EOF.
func (s *Stream) Peek(n int) ([]byte, error) {
	for s.w-s.r < n {
		if err := s.fill(); err != nil {
			return s.buf[s.r:s.w:s.w], err
		}
	}
	return s.buf[s.r : s.r+n : s.r+n], nil
}

// Discard skips the next n bytes, parking until they are there. With an error it
// returns how many it has skipped.
func (s *Stream) Discard(n int) (skipped int, err error) {
	for {
		k := min(n-skipped, s.w-s.r)
		s.r += k
		if skipped += k; skipped == n {
			return n, nil
		}
		if err := s.fill(); err != nil {
			return skipped, err
		}
	}
}

// Unread returns how many bytes have come and were not consumed.
func (s *Stream) Unread() int { return s.w - s.r }

// AtEOF says whether the end has been seen and everything was consumed.
func (s *Stream) AtEOF() bool { return s.readErr == io.EOF && s.r == s.w }
