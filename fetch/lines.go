package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Line is one URL of the input, or what is wrong with it.
type Line struct {
	Number int    // in the input, counted from 1; 0 for an argument
	URL    string // as written, without the space around it
	Err    error  // the line is no URL that can be fetched; URL holds it, cut at 200 bytes
}

// Lines reads URLs, one a line, as a stream: a goroutine of its own reads ahead. Lines are available as soon as they
// have arrived, so a slow pipe delivers each at once, and the goroutine is never more than a thousand
// lines ahead, so an input of any length takes the same memory. Empty lines and those that begin with # are skipped.
//
// TryNext and OnReady are for event loops, Next for goroutines; any number of them may take from one Lines.
type Lines struct {
	mu      sync.Mutex
	room    sync.Cond // the reader waits here while the ring is full
	ring    [lineBatches][]Line
	head, n int // of the ring
	pos     int // in the batch at the head
	free    [][]Line
	ended   bool
	closed  bool
	err     error
	waiting []func()

	size  int64        // of the input in bytes, 0 if unknown
	read  atomic.Int64 // bytes of it turned into lines
	count atomic.Int64 // lines handed over
	over  atomic.Bool
}

const (
	lineBatch   = 64 // URLs of a batch share one string, which lives as long as any of them
	lineBatches = 16
	maxLine     = 64 << 10
)

// NewLines returns a Lines that begins with args and goes on with r, which may be nil. The size of r in bytes, if it is
// known, serves Total; otherwise it is 0.
//
// Reading goes on until the end of r or Close; a Read that blocks is not interrupted by Close, but what it returns is
// dropped.
func NewLines(args []string, r io.Reader, size int64) *Lines {
	l := &Lines{size: size}
	l.room.L = &l.mu
	go l.run(args, r)
	return l
}

// TryNext takes the next line without blocking. ok is false if there is none now; end then says that none will come, and
// err why, if the input did not simply end.
func (l *Lines) TryNext() (line Line, ok, end bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return Line{}, false, l.ended, l.err
	}
	batch := l.ring[l.head]
	line = batch[l.pos]
	batch[l.pos] = Line{} // the text may go when its URLs are done
	if l.pos++; l.pos == len(batch) {
		l.ring[l.head], l.pos = nil, 0
		l.head = (l.head + 1) % lineBatches
		l.n--
		l.free = append(l.free, batch[:0])
		if l.n == lineBatches/2 { // not at each: waking the reader costs more than a batch
			l.room.Signal()
		}
	}
	return line, true, false, nil
}

// OnReady calls f once TryNext has something to say, a batch or the end: at once and in place if it has already,
// otherwise later on the reader's goroutine. f must not block.
func (l *Lines) OnReady(f func()) {
	l.mu.Lock()
	if l.n > 0 || l.ended {
		l.mu.Unlock()
		f()
		return
	}
	l.waiting = append(l.waiting, f)
	l.mu.Unlock()
}

// Next takes the next line and blocks the goroutine until there is one. At the end it returns io.EOF, or what kept the
// input from being read.
func (l *Lines) Next() (Line, error) {
	for {
		line, ok, end, err := l.TryNext()
		switch {
		case ok:
			return line, nil
		case err != nil:
			return Line{}, err
		case end:
			return Line{}, io.EOF
		}
		ready := make(chan struct{})
		l.OnReady(func() { close(ready) })
		<-ready
	}
}

// Deal deals the rest of the stream out to n streams: a line goes to that whose number is where returns for it. A stream
// that is not read holds up the others once it is some hundred lines behind, since the memory is bounded.
func (l *Lines) Deal(n int, where func(url string) int) []*Lines {
	to := make([]*Lines, n)
	for i := range to {
		to[i] = new(Lines)
		to[i].room.L = &to[i].mu
	}
	go func() {
		for {
			line, err := l.Next()
			if err == io.EOF {
				err = nil
			}
			if err != nil || line == (Line{}) {
				for _, t := range to {
					t.finish(err)
				}
				return
			}
			to[where(line.URL)].push(line)
		}
	}()
	return to
}

// push adds one line, to the last batch if that has room.
func (l *Lines) push(line Line) {
	l.mu.Lock()
	if l.n > 0 {
		if last := &l.ring[(l.head+l.n-1)%lineBatches]; len(*last) < cap(*last) {
			*last = append(*last, line)
			l.wake() // unlocks
			return
		}
	}
	l.mu.Unlock()
	l.put(append(l.newBatch(), line))
}

// Close ends the stream: what is read but not taken is dropped, and TryNext reports the end.
func (l *Lines) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.finish(nil)
}

// Total returns how many URLs the input holds: exactly once all of it is read, and by the share of it that is read if
// its size is known. Without either, known is false.
func (l *Lines) Total() (total int64, known bool) {
	n, read := l.count.Load(), l.read.Load()
	switch {
	case l.over.Load():
		return n, true
	case l.size > 0 && read > 0 && n > 0:
		return max(int64(float64(n)*float64(l.size)/float64(read)), n), true
	}
	return 0, false
}

func (l *Lines) run(args []string, r io.Reader) {
	batch := l.newBatch()
	for _, a := range args {
		batch = append(batch, line(0, a))
		if len(batch) == lineBatch {
			if !l.put(batch) {
				return
			}
			batch = l.newBatch()
		}
	}
	if !l.put(batch) {
		return
	}
	if r == nil {
		l.finish(nil)
		return
	}
	l.finish(l.stream(r))
}

// stream reads r to its end. All lines that one Read completes are handed over before the next, since that one may
// block for long.
func (l *Lines) stream(r io.Reader) error {
	buf := make([]byte, 0, 8<<10)
	number := 0
	skipping := false // inside a line that is too long and is reported already
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		from := len(buf) // no line ends before
		buf = buf[:len(buf)+n]
		if skipping {
			i := bytes.IndexByte(buf, '\n')
			if i < 0 {
				buf = buf[:0]
			} else {
				buf = buf[:copy(buf, buf[i+1:])]
				skipping = false
			}
			from = 0
		}
		whole := bytes.LastIndexByte(buf[from:], '\n') + 1
		if whole > 0 {
			whole += from
		}
		if err != nil && !skipping {
			whole = len(buf) // the last line may lack its end
		}
		if !l.lines(buf[:whole], &number) {
			return nil
		}
		buf = buf[:copy(buf, buf[whole:])]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read URLs: line %d: %w", number+1, err)
		}
		if len(buf) < cap(buf) {
			continue
		}
		if cap(buf) < maxLine {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			continue
		}
		number++
		bad := Line{Number: number, URL: string(buf[:200]), Err: fmt.Errorf("line %d: longer than %d bytes", number, maxLine)}
		if !l.put(append(l.newBatch(), bad)) {
			return nil
		}
		buf, skipping = buf[:0], true
	}
}

// lines hands over the lines of text in batches. It reports false if the stream is closed.
func (l *Lines) lines(text []byte, number *int) bool {
	for len(text) > 0 {
		// One string holds the lines of a batch: one allocation for 64 URLs.
		size, count := 0, 0
		for size < len(text) && count < lineBatch {
			n := bytes.IndexByte(text[size:], '\n') + 1
			if n == 0 {
				n = len(text) - size
			}
			size += n
			count++
		}
		part := string(text[:size])
		l.read.Add(int64(size))
		text = text[size:]
		batch := l.newBatch()
		for len(part) > 0 {
			var one string
			one, part = cutLine(part)
			*number++
			one = trimSpace(one)
			if one == "" || one[0] == '#' {
				continue
			}
			batch = append(batch, line(*number, one))
		}
		if !l.put(batch) {
			return false
		}
	}
	return true
}

func cutLine(s string) (line, rest string) {
	for i := range len(s) {
		if s[i] == '\n' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// trimSpace is strings.TrimSpace for ASCII: what is left beyond that makes the URL a bad one, and is shown.
func trimSpace(s string) string {
	for len(s) > 0 && s[0] <= ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func line(number int, url string) Line {
	err := CheckURL(url)
	if err == nil {
		return Line{Number: number, URL: url}
	}
	if number > 0 {
		err = fmt.Errorf("line %d: %w", number, err)
	}
	return Line{Number: number, URL: url[:min(len(url), 200)], Err: err}
}

// Errors of [CheckURL].
var (
	errNoScheme = errors.New("not a URL with http:// or https:// in front")
	errNoHost   = errors.New("no host")
	errSpace    = errors.New("a space or control character inside; write it as %20")
)

// CheckURL looks for what keeps a string from being a URL to fetch, at a price of a few nanoseconds: another scheme,
// no host, spaces. The rest shows when it is parsed.
func CheckURL(s string) error {
	host := 0
	switch {
	case len(s) >= 7 && asciiFold(s[:7], "http://"):
		host = 7
	case len(s) >= 8 && asciiFold(s[:8], "https://"):
		host = 8
	default:
		return errNoScheme
	}
	if len(s) == host || s[host] == '/' || s[host] == '?' || s[host] == '#' || s[host] == ':' {
		return errNoHost
	}
	for i := host; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return errSpace
		}
	}
	return nil
}

func asciiFold(s, lowerCase string) bool {
	for i := range len(s) {
		if lower(s[i]) != lowerCase[i] {
			return false
		}
	}
	return true
}

func (l *Lines) newBatch() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free = l.free[:n-1]
		return b
	}
	return make([]Line, 0, lineBatch)
}

// put hands a batch over, blocking while the ring is full. It reports false if the stream is closed.
func (l *Lines) put(batch []Line) bool {
	l.mu.Lock()
	if len(batch) == 0 {
		defer l.mu.Unlock()
		l.free = append(l.free, batch)
		return !l.closed
	}
	for l.n == lineBatches && !l.closed {
		l.room.Wait()
	}
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.ring[(l.head+l.n)%lineBatches] = batch
	l.n++
	l.count.Add(int64(len(batch)))
	l.wake() // unlocks
	return true
}

func (l *Lines) finish(err error) {
	l.over.Store(true)
	l.mu.Lock()
	if l.closed {
		l.head, l.n, l.pos = 0, 0, 0
		clear(l.ring[:])
	}
	l.ended = true
	if l.err == nil {
		l.err = err
	}
	l.room.Broadcast()
	l.wake()
}

// wake unlocks and calls those who wait.
func (l *Lines) wake() {
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, f := range waiting {
		f()
	}
}
