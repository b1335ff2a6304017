package rondo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// StdinPipe returns a pipe to the process' standard input. It is called before the
// start. Closing the pipe is the end of the input.
//
// Errors: [ErrStarted]; those of [OpenPipe]; the stream has been set already.
func (p *Process) StdinPipe() (*Conn, error) { return p.pipe(0, p.Stdin, "standard input") }

// StdoutPipe returns a pipe from the process' standard output. It is called before
// the start. It is read until io.EOF, which comes when the process and all that has
// inherited the pipe have closed it, and closed by the caller, or by
// [Process.Close].
//
// Errors: those of StdinPipe.
func (p *Process) StdoutPipe() (*Conn, error) { return p.pipe(1, p.Stdout, "standard output") }

// StderrPipe is StdoutPipe for standard error.
func (p *Process) StderrPipe() (*Conn, error) {
	if p.MergeStderr {
		return nil, fmt.Errorf("pipe to %s: standard error goes to standard output", p.name())
	}
	return p.pipe(2, p.Stderr, "standard error")
}

func (p *Process) pipe(i int, set *os.File, what string) (*Conn, error) {
	if p.exited != nil {
		return nil, fmt.Errorf("pipe to %s: %w", p.name(), ErrStarted)
	}
	if set != nil || p.pipes[i] != nil {
		return nil, fmt.Errorf("pipe to %s: %s has been set already", p.name(), what)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe to %s: %w", p.name(), err)
	}
	if i > 0 {
		theirs, ours = ours, theirs
	}
	c, err := OpenPipe(ours)
	if err != nil {
		theirs.Close()
		ours.Close()
		return nil, fmt.Errorf("pipe to %s: %w", p.name(), err)
	}
	p.pipes[i], p.ends[i] = c, theirs
	return c, nil
}

// closeEnds closes their ends of the pipes.
func (p *Process) closeEnds() {
	for i, f := range p.ends {
		if f != nil {
			f.Close()
			p.ends[i] = nil
		}
	}
}

// closePipes closes our ends.
func (p *Process) closePipes() {
	for _, c := range p.pipes {
		if c != nil {
			c.Close()
		}
	}
}

// Output is [Process.Run] that returns what the process has written to its standard
// output.
//
// Errors: those of Communicate.
func (p *Process) Output() ([]byte, error) {
	out, _, err := p.Communicate(p.ctx, nil)
	return out, err
}

// Communicate writes input to the process, reads all that it writes, and waits for
// its end, all at the same time, so that neither waits for the other however much it
// is. It starts the process if that is still to be done, with pipes for standard
// output and error where nothing else is set, and for standard input if input is
// not nil. A process that does not read all of its input is no error. If the task
// is canceled, the process has ended when Communicate returns, and what was read
// until then is returned. Its pipes are closed.
//
// Errors:
//   - an *exec.ExitError, wrapped, if the process failed.
//   - [ErrWaitDelay] if others have inherited the pipes and hold them; what was read
//     is returned.
//   - those of Start and of Wait.
func (p *Process) Communicate(ctx context.Context, input []byte) (stdout, stderr []byte, err error) {
	defer p.Close()
	if p.exited == nil {
		if err := p.plumb(input != nil); err != nil {
			return nil, nil, err
		}
		if err := p.Start(); err != nil {
			return nil, nil, err
		}
	}
	var out, serr output
	var state *os.ProcessState
	var exit error
	err = WithGroup(ctx, func(g *Group) error {
		if c := p.pipes[0]; c != nil {
			g.Go(func(context.Context) error { return feed(c, input) })
		}
		for i, o := range []*output{&out, &serr} {
			if c := p.pipes[i+1]; c != nil {
				g.Go(func(context.Context) error { return o.drain(c) })
			}
		}
		if state, exit = p.Wait(ctx); state == nil {
			return exit // canceled
		}
		end := time.Now().Add(p.delay())
		for _, c := range p.pipes {
			if c != nil && !c.isClosed() {
				c.SetDeadline(end)
			}
		}
		return nil
	})
	stdout, stderr, late := joined(ctx, &out, &serr)
	held := state != nil && errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case err != nil && !held:
	case late != nil:
		err = late
	case state != nil && !state.Success() && len(stderr) > 0:
		err = p.failure(stderr[max(0, len(stderr)-tailSize):])
	case exit != nil:
		err = exit
	case held:
		err = fmt.Errorf("communicate with %s: %w", p.name(), ErrWaitDelay)
	}
	return stdout, stderr, err
}

// plumb makes the pipes that Communicate needs.
func (p *Process) plumb(input bool) (err error) {
	if input && p.Stdin == nil && p.pipes[0] == nil {
		_, err = p.StdinPipe()
	}
	if err == nil && p.Stdout == nil && p.pipes[1] == nil {
		_, err = p.StdoutPipe()
	}
	if err == nil && p.Stderr == nil && p.pipes[2] == nil && !p.MergeStderr {
		_, err = p.StderrPipe()
	}
	return err
}

// feed writes the input and closes the pipe. Whether it was wanted is the
// process' affair.
func feed(c *Conn, input []byte) error {
	_, err := c.Write(input)
	c.Close()
	if errors.Is(err, syscall.EPIPE) || isClosed(err) {
		return nil
	}
	return err
}

// An output is what was read from a pipe. It is kept in pieces: to move it as it
// grows would hold the loop.
type output struct {
	pieces [][]byte // all but the last are full
	size   int
}

// drain reads until the end.
func (o *output) drain(c *Conn) error {
	const first, largest = 32 << 10, 1 << 20
	piece := make([]byte, 0, first)
	for {
		n, err := c.Read(piece[len(piece):cap(piece)])
		piece = piece[:len(piece)+n]
		o.size += n
		if err == nil && len(piece) < cap(piece) {
			continue
		}
		o.pieces = append(o.pieces, piece)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		piece = make([]byte, 0, min(2*cap(piece), largest))
	}
}

func (o *output) bytes() []byte {
	if len(o.pieces) == 1 {
		return o.pieces[0]
	}
	return bytes.Join(o.pieces, nil)
}

// joined returns the outputs in one piece each; much is joined off the loop. The
// error is that of a cancellation, and the outputs are there all the same.
func joined(ctx context.Context, out, serr *output) (a, b []byte, err error) {
	join := func() (struct{}, error) {
		a, b = out.bytes(), serr.bytes()
		return struct{}{}, nil
	}
	if out.size+serr.size > 1<<20 {
		if _, err = InExecutorShielded(ctx, nil, join); err == nil || errors.Is(err, ErrClosed) {
			return a, b, err
		}
	}
	_, _ = join()
	return a, b, err
}

const (
	tailSize  = 4 << 10
	tailDelay = 100 * time.Millisecond // for what is still in the pipe, if others hold it
)

// A tail keeps the last bytes of a pipe, off the loop.
type tail struct {
	r    *os.File
	text []byte
	done chan struct{} // closed when text is final
}

func keepTail(r *os.File) *tail {
	t := &tail{r: r, done: make(chan struct{})}
	go t.read()
	return t
}

func (t *tail) read() {
	defer close(t.done)
	defer t.r.Close()
	buf := make([]byte, tailSize)
	for {
		n, err := t.r.Read(buf)
		t.text = append(t.text, buf[:n]...)
		if over := len(t.text) - tailSize; over > 0 {
			t.text = append(t.text[:0], t.text[over:]...)
		}
		if err != nil {
			return
		}
	}
}

// end waits until the text is final, for at most d.
func (t *tail) end(d time.Duration) {
	if t.r.SetReadDeadline(time.Now().Add(d)) != nil {
		t.r.Close()
	}
	<-t.done
}

// lastLines is the end of a text, for an error: whole lines, in one.
func lastLines(text []byte) string {
	const most = 300
	text = bytes.TrimSpace(text)
	if len(text) > most {
		text = text[len(text)-most:]
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return string(bytes.Join(lines, []byte("; ")))
}
