package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// process is one running worker. do is called by one goroutine; three others read its answers, read its stderr and
// wait for its end.
//
// Some facts about processes, and what they mean here. A worker's children inherit its pipes, so its end is learnt from
// wait, never from an end of file, and the pipes are closed by us. A pipe whose reader is gone fails writes with EPIPE
// before anybody has waited for the process, so the reason is asked for a moment later. A worker may write while it is
// still being written to, so both happen at once.
type process struct {
	w       *Workers
	cmd     *exec.Cmd
	stdin   *os.File
	answers chan answer
	dead    chan struct{} // closed when the process is reaped
	exited  chan struct{} // closed when the process is reaped and its output read
	frame   []byte

	mu       sync.Mutex
	lastLine string // of stderr
}

type answer struct {
	line []byte
	err  error
}

const (
	drainTime = 200 * time.Millisecond // for output that is still in the pipe when a process has ended
	oneWrite  = 64 << 10               // a body up to this is copied behind its header, to save a system call
)

// startProcess starts a worker.
func startProcess(w *Workers) (*process, error) {
	p := &process{w: w, cmd: exec.Command(w.Argv[0], w.Argv[1:]...), answers: make(chan answer, 1),
		dead: make(chan struct{}), exited: make(chan struct{})}
	ownGroup(p.cmd)
	var theirs, ours []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	for i := range 3 {
		r, wr, err := os.Pipe()
		if err != nil {
			closeAll(append(theirs, ours...))
			return nil, err
		}
		if i == 0 {
			r, wr = wr, r
		}
		ours, theirs = append(ours, r), append(theirs, wr)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	err := p.cmd.Start()
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	p.stdin = ours[0]
	stdout, stderr := ours[1], ours[2]
	var readers sync.WaitGroup
	readers.Go(func() { p.readAnswers(stdout) })
	readers.Go(func() { p.readStderr(stderr) })
	go func() {
		_ = p.cmd.Wait()
		close(p.dead)
		killGroup(p.cmd) // what it left behind
		deadline := time.Now().Add(drainTime)
		_ = stdout.SetReadDeadline(deadline)
		_ = stderr.SetReadDeadline(deadline)
		readers.Wait()
		closeAll(ours)
		close(p.exited)
	}()
	return p, nil
}

// readAnswers hands over lines until the end. The channel holds one: a worker that says more than it is asked for
// waits.
func (p *process) readAnswers(stdout *os.File) {
	r := bufio.NewReaderSize(stdout, 4<<10)
	for {
		line, err := readLine(r, nil, p.w.MaxAnswer)
		if err != nil {
			if err != errLongLine {
				return // the end: whoever waits sees exited
			}
			err = fmt.Errorf("answered with more than %d bytes", p.w.MaxAnswer)
		} else {
			line, err = checkAnswer(line)
		}
		select {
		case p.answers <- answer{line, err}:
		default:
			select {
			case p.answers <- answer{line, err}:
			case <-p.dead: // nobody will take it
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// checkAnswer checks that a line is one JSON value.
func checkAnswer(line []byte) ([]byte, error) {
	line = bytes.TrimSpace(line)
	if json.Valid(line) {
		return line, nil
	}
	return nil, fmt.Errorf("answered with no JSON: %q", line[:min(len(line), 80)])
}

func (p *process) readStderr(stderr *os.File) {
	r := bufio.NewReaderSize(stderr, 4<<10)
	for {
		line, err := r.ReadSlice('\n') // a longer line comes in pieces
		if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 {
			if p.w.Stderr != nil {
				p.w.Stderr(line)
			}
			p.mu.Lock()
			p.lastLine = string(line[:min(len(line), 300)])
			p.mu.Unlock()
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// do has one record processed. After an error the process is of no use any more.
func (p *process) do(j *Job) error {
	select {
	case a := <-p.answers:
		return p.failed(fmt.Errorf("said more than one line: %q", a.line[:min(len(a.line), 80)]))
	default:
	}
	var expired <-chan time.Time
	if t := p.w.Timeout; t > 0 {
		timer := time.NewTimer(t)
		defer timer.Stop()
		expired = timer.C
		_ = p.stdin.SetWriteDeadline(time.Now().Add(t))
	}
	p.frame = appendFrame(p.frame[:0], j.Doc, len(j.Body))
	rest := j.Body
	if len(rest) <= oneWrite {
		p.frame, rest = append(p.frame, rest...), nil
	}
	_, werr := p.stdin.Write(p.frame)
	if werr == nil && len(rest) > 0 {
		_, werr = p.stdin.Write(rest)
	}
	if werr != nil && errors.Is(werr, os.ErrDeadlineExceeded) {
		return p.failed(fmt.Errorf("took no more than a part of the body in %v", p.w.Timeout))
	}
	if werr != nil {
		// It has closed its input, or is gone; an answer that came before tells more than the pipe's error.
		timer := time.NewTimer(drainTime)
		defer timer.Stop()
		expired = timer.C
	}
	exited := p.exited
	for {
		select {
		case a := <-p.answers:
			if a.err == nil && werr != nil {
				a.err = errors.New("answered before it had read the body, and ended")
			}
			if a.err != nil {
				return p.failed(a.err)
			}
			j.Result = append(j.Result[:0], a.line...)
			return nil
		case <-exited:
			if len(p.answers) > 0 {
				exited = nil // an answer and then the end: the answer counts
				continue
			}
			return p.failed(nil)
		case <-expired:
			if werr != nil {
				return p.failed(fmt.Errorf("does not read: %w", werr))
			}
			return p.failed(fmt.Errorf("no answer in %v", p.w.Timeout))
		case <-p.w.ctx.Done():
			p.kill()
			return context.Cause(p.w.ctx)
		}
	}
}

// failed kills the process and says how it failed: what it did wrong, or else how it ended.
func (p *process) failed(cause error) error {
	p.kill()
	if cause == nil {
		cause = errors.New("died: " + p.cmd.ProcessState.String())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lastLine != "" {
		return fmt.Errorf("worker %q: %w; its last words: %s", p.w.Name, cause, p.lastLine)
	}
	return fmt.Errorf("worker %q: %w", p.w.Name, cause)
}

// kill kills the process and its group, and waits until it is reaped.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		killGroup(p.cmd)
		<-p.exited
	}
}

// stop closes the worker's input, which tells it to end, and kills it if it hasn't done so in time.
func (p *process) stop(grace time.Duration) {
	p.stdin.Close()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-p.w.ctx.Done():
	case <-timer.C:
	}
	p.kill()
}
