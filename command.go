package rondo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/loop"
)

// A Process is a program that runs, or is to run, beside this one. Make one with
// [Command], set what is to be set, and start it with [Process.Start],
// [Process.Run], [Process.Output] or [Process.Communicate]. It is asyncio's
// subprocess, with the fields of os/exec.
//
// # Its end
//
// A process belongs to a context. When that is done (the task is canceled or
// over, a [Timeout]'s time is up, the group has ended), the process and all that
// it has started are sent SIGTERM, and SIGKILL when it has ended or after
// WaitDelay. For that it is the leader of a process group of its own, which ^C at a
// terminal does not reach: it cancels the task, and so ends the process.
//
// Whether or not anybody waits, a process that has ended is reaped at once.
//
// # Who uses it
//
// A process is for the tasks of the loop that starts it. Wait, Signal, Terminate
// and Kill are for any goroutine. What is set must not be changed after the start.
type Process struct {
	// Args is the program and its arguments.
	Args []string
	// Dir is the folder to run in; "" is this process' own.
	Dir string
	// Env is the environment, "key=value" each; nil is this process' own.
	Env []string

	// Stdin and Stdout are what the process reads and writes; nil is the null
	// device, os.Stdin and os.Stdout are this process' own. For pipes see
	// StdinPipe and StdoutPipe.
	Stdin, Stdout *os.File
	// Stderr is like Stdout, but if it is nil, the last 4 KiB are kept for the
	// error of a process that fails.
	Stderr *os.File
	// MergeStderr sends what goes to standard error to where standard output goes.
	MergeStderr bool

	// Foreground leaves the process in this one's group, as programs need that
	// use the terminal. What it has started is then not ended with it.
	Foreground bool
	// WaitDelay is how long a process may take to end after SIGTERM, and how long
	// Communicate waits, after the end, for the pipes that others have inherited.
	// Zero is five seconds.
	WaitDelay time.Duration

	ctx   context.Context
	home  *loop.Loop
	pipes [3]*Conn    // our ends
	ends  [3]*os.File // theirs, until the start
	kept  *tail       // of standard error

	mu      sync.Mutex // held while the process is signaled, and while it is reaped
	process *os.Process
	reaped  bool
	ending  bool // SIGTERM was sent for good

	exited  chan struct{} // closed when what follows is set
	state   *os.ProcessState
	err     error
	done    bool // of the loop
	waiters loop.WaitList
	back    loop.Handle
}

// Errors of processes.
var (
	// ErrStarted: the process has been started already.
	ErrStarted = errors.New("rondo: process has been started already")
	// ErrNotStarted: the process has not been started.
	ErrNotStarted = errors.New("rondo: process has not been started")
	// ErrWaitDelay: a process has ended, but what it has started holds its pipes.
	ErrWaitDelay = exec.ErrWaitDelay
)

// Command returns a process that is to run the program name with args, and to end
// when ctx is done. A name without a slash is looked for in PATH.
func Command(ctx context.Context, name string, args ...string) *Process {
	return &Process{Args: append([]string{name}, args...), ctx: ctx}
}

// Shell is [Command] for a line that the system's shell understands: sh -c, or
// cmd /C on Windows.
func Shell(ctx context.Context, line string) *Process {
	return Command(ctx, shell[0], append(shell[1:], line)...)
}

// String names the process, for humans.
func (p *Process) String() string { return p.name() }

func (p *Process) name() string {
	if len(p.Args) == 0 {
		return "process"
	}
	return filepath.Base(p.Args[0])
}

func (p *Process) delay() time.Duration {
	if p.WaitDelay > 0 {
		return p.WaitDelay
	}
	return 5 * time.Second
}

// Start starts the process, and parks until it runs: a few hundred microseconds.
// It is not cut short by a cancellation, so that no process is left unknown.
//
// Errors: [ErrStarted]; the system's, which names the program, and PATH if it is not
// there (exec.ErrNotFound); those of [Sleep].
func (p *Process) Start() error {
	t, err := taskFor(p.ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name(), err)
	}
	if p.exited != nil {
		return fmt.Errorf("start %s: %w", p.name(), ErrStarted)
	}
	p.home, p.exited = t.Loop(), make(chan struct{})
	p.back.Init(loop.Func(p.tell))
	_, err = InExecutorShielded(p.ctx, nil, func() (struct{}, error) { return struct{}{}, p.start() })
	if errors.Is(err, ErrClosed) {
		return fmt.Errorf("start %s: %w", p.name(), err) // it is on its way, and ends with its context
	}
	if err != nil {
		p.closeEnds()
		p.closePipes()
		p.err, p.done = fmt.Errorf("start %s: %w", p.name(), err), true
		close(p.exited)
		return p.err
	}
	return nil
}

// start is Start, off the loop.
func (p *Process) start() error {
	if len(p.Args) == 0 {
		return errors.New("no program is given")
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	if p.Dir != "" { // which the system confuses with the program
		if _, err := os.Stat(p.Dir); err != nil {
			return err
		}
	}
	if errors.Is(cmd.Err, exec.ErrNotFound) && filepath.Base(p.Args[0]) == p.Args[0] {
		return fmt.Errorf("%w (PATH=%s)", cmd.Err, os.Getenv("PATH"))
	}
	if p.Stderr == nil && p.ends[2] == nil && !p.MergeStderr {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.ends[2], p.kept = w, keepTail(r)
	}
	// Only files: os/exec then starts no goroutines.
	if f := pick(p.ends[0], p.Stdin); f != nil {
		cmd.Stdin = f
	}
	if f := pick(p.ends[1], p.Stdout); f != nil {
		cmd.Stdout = f
	}
	if f := pick(p.ends[2], p.Stderr); f != nil {
		cmd.Stderr = f
	}
	if p.MergeStderr {
		cmd.Stderr = cmd.Stdout
	}
	if !p.Foreground {
		ownGroup(cmd)
	}
	err := cmd.Start()
	p.closeEnds()
	if err != nil {
		if p.kept != nil {
			p.kept.end(0)
		}
		return err
	}
	p.mu.Lock()
	p.process = cmd.Process
	p.mu.Unlock()
	stop := context.AfterFunc(p.ctx, p.end)
	go p.reap(stop)
	return nil
}

func pick(a, b *os.File) *os.File {
	if a != nil {
		return a
	}
	return b
}

// reap waits for the end of the process. The group that it leads can be signaled
// as long as it is not reaped: then its number may be another's. So its end is
// awaited first, where the system can do that, and it is reaped under the lock.
func (p *Process) reap(stop func() bool) {
	var state *os.ProcessState
	var err error
	if sys.WaitExited(p.process.Pid) == nil {
		p.mu.Lock()
		if p.ending {
			_ = p.signalAll(os.Kill) // what it has started
		}
		state, err = p.process.Wait()
	} else {
		state, err = p.process.Wait()
		p.mu.Lock()
		if p.ending {
			_ = p.signalAll(os.Kill)
		}
	}
	p.reaped = true
	p.mu.Unlock()
	stop()
	p.state = state
	if p.kept != nil {
		p.kept.end(tailDelay)
	}
	switch {
	case err != nil:
		p.err = fmt.Errorf("wait for %s: %w", p.name(), err)
	case !state.Success():
		var text []byte
		if p.kept != nil {
			text = p.kept.text
		}
		p.err = p.failure(text)
	}
	close(p.exited)
	p.home.Post(&p.back)
}

// tell wakes those who wait, on the loop.
func (p *Process) tell() {
	p.done = true
	grantAll(&p.waiters, p.home)
}

// failure is the error of a process that has failed, with the end of what it said.
func (p *Process) failure(stderr []byte) error {
	err := &exec.ExitError{ProcessState: p.state, Stderr: stderr}
	if text := lastLines(stderr); text != "" {
		return fmt.Errorf("%s: %w: %s", p.name(), err, text)
	}
	return fmt.Errorf("%s: %w", p.name(), err)
}

// Wait waits for the end of the process, parking the task or blocking the
// goroutine. It may be called often, also by several. If the task is canceled, the
// process goes on, unless it is the process' own context that is done.
//
// Pipes stay as they are: what is in them can still be read.
//
// Errors:
//   - an *exec.ExitError, wrapped, if the process failed; its Stderr is the end of
//     what was written to standard error, if that was not sent elsewhere.
//   - [ErrNotStarted]; [ErrOtherLoop]; those of [Sleep].
func (p *Process) Wait(ctx context.Context) (*os.ProcessState, error) {
	if p.exited == nil {
		return nil, fmt.Errorf("wait for %s: %w", p.name(), ErrNotStarted)
	}
	here, t := locate(ctx)
	if here == nil {
		select {
		case <-p.exited:
			return p.state, p.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := p.mine(here, t); err != nil {
		return nil, fmt.Errorf("wait for %s: %w", p.name(), err)
	}
	for !p.done {
		stop, err := under(ctx, t)
		if err != nil {
			return nil, err
		}
		w := t.Waiter()
		p.waiters.Add(w)
		here.External(1)
		err = t.Park(w)
		here.External(-1)
		if stop != nil {
			stop()
		}
		if !w.Granted() {
			p.waiters.Remove(w)
		}
		if err != nil {
			return nil, err
		}
	}
	return p.state, p.err
}

func (p *Process) mine(here *loop.Loop, t *loop.Task) error {
	switch {
	case here != p.home:
		return ErrOtherLoop
	case t == nil:
		return ErrNotTask
	}
	return nil
}

// Run starts the process and waits for its end. If the task is canceled, it has
// ended when Run returns.
//
// Errors: those of Start and of Wait.
func (p *Process) Run() error {
	if err := p.Start(); err != nil {
		return err
	}
	_, err := p.Wait(p.ctx)
	p.Close()
	return err
}

// Close ends the process if it runs, as the end of its context does, waits until
// it has ended, and closes its pipes. It is for defers: a cancellation does not cut
// it short. A second Close does nothing.
//
// Errors: [ErrOtherLoop], [ErrNotTask].
func (p *Process) Close() error {
	defer p.closePipes()
	if p.exited == nil {
		p.closeEnds()
		return nil
	}
	here, t := loop.Current()
	if here == nil {
		p.end()
		<-p.exited
		return nil
	}
	if err := p.mine(here, t); err != nil {
		return fmt.Errorf("close %s: %w", p.name(), err)
	}
	if p.done {
		return nil
	}
	go p.end()
	var owed *CanceledError
	for !p.done {
		w := t.Waiter()
		p.waiters.Add(w)
		here.External(1)
		err := t.Park(loop.NoAbort)
		here.External(-1)
		if !w.Granted() {
			p.waiters.Remove(w)
		}
		if ce, ok := err.(*CanceledError); ok {
			owed = ce
		} else if err != nil {
			return err
		}
	}
	if owed != nil {
		t.Owe(owed)
	}
	return nil
}

// end ends the process and what it has started. It blocks.
func (p *Process) end() {
	p.mu.Lock()
	late := p.ending || p.reaped || p.process == nil
	p.ending = true
	if !late {
		_ = p.signalAll(terminate)
	}
	p.mu.Unlock()
	if late {
		return
	}
	timer := time.NewTimer(p.delay())
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = p.Kill()
	}
}

// PID returns the number of the process, or 0 before it is started.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return 0
	}
	return p.process.Pid
}

// Signal sends a signal to the process itself.
//
// Errors: os.ErrProcessDone; [ErrNotStarted]; the system's.
func (p *Process) Signal(sig os.Signal) error {
	return p.locked(func() error { return p.process.Signal(sig) })
}

// Terminate asks the process and all that it has started to end: SIGTERM. On
// Windows it is Kill.
//
// Errors: those of Signal.
func (p *Process) Terminate() error { return p.locked(func() error { return p.signalAll(terminate) }) }

// Kill ends the process and all that it has started: SIGKILL. On Windows it ends
// the process alone.
//
// Errors: those of Signal.
func (p *Process) Kill() error { return p.locked(func() error { return p.signalAll(os.Kill) }) }

// locked calls fn while the process is not reaped.
func (p *Process) locked(fn func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.process == nil:
		return fmt.Errorf("signal %s: %w", p.name(), ErrNotStarted)
	case p.reaped:
		return fmt.Errorf("signal %s: %w", p.name(), os.ErrProcessDone)
	}
	if err := fn(); err != nil {
		return fmt.Errorf("signal %s: %w", p.name(), err)
	}
	return nil
}
