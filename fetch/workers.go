package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// WorkersConfig says what worker processes to run. Zero values mean the defaults.
type WorkersConfig struct {
	N         int               // processes; 0 means 1
	Argv      []string          // the program and its arguments
	Name      string            // for messages; "" means Argv
	Queue     int               // jobs that Submit takes before it blocks; 0 means N
	Timeout   time.Duration     // for one record; 0 means none
	MaxAnswer int               // bytes of an answer; 0 means 1 MiB
	Grace     time.Duration     // for a worker to end by itself at Close; 0 means 2 s
	Stderr    func(line []byte) // gets each line that a worker writes to stderr, concurrently; nil drops them
}

// ShellCommand returns the Argv that runs a command line: by sh -c, on Windows by cmd /C.
func ShellCommand(command string) []string { return shell(command) }

// Workers is a pool of worker processes that are kept running, each given one record at a time. A worker that dies,
// answers nonsense or takes too long is replaced, and its record tried once more, on a fresh one.
//
// A pool is safe for concurrent use.
type Workers struct {
	WorkersConfig
	ctx   context.Context
	jobs  chan *Job
	slots sync.WaitGroup

	mu       sync.Mutex
	answered bool // some worker has answered once
	deaths   int  // in a row, before that
	broken   error
}

// Job is a record to be processed. It belongs to the pool from Submit until Done is called, and can be used again
// then, with the memory of Result.
type Job struct {
	Doc    Document
	Body   []byte
	Result []byte // one JSON value
	Err    error
	Done   func() // called on a goroutine of the pool; must not block
}

// NewWorkers starts a pool. Once ctx is done its workers are killed, and what they were at fails with ctx's cause.
func NewWorkers(ctx context.Context, cfg WorkersConfig) *Workers {
	cfg.N = max(cfg.N, 1)
	if cfg.Name == "" {
		cfg.Name = strings.Join(cfg.Argv, " ")
	}
	if cfg.Queue == 0 {
		cfg.Queue = cfg.N
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = 1 << 20
	}
	if cfg.Grace == 0 {
		cfg.Grace = 2 * time.Second
	}
	w := &Workers{WorkersConfig: cfg, ctx: ctx, jobs: make(chan *Job, cfg.Queue)}
	for range cfg.N {
		w.slots.Go(w.slot)
	}
	return w
}

// Submit hands a job over. It blocks while the queue is full.
func (w *Workers) Submit(j *Job) { w.jobs <- j }

// Process has a record processed and blocks until it is.
func (w *Workers) Process(doc Document, body []byte) ([]byte, error) {
	done := make(chan struct{})
	j := Job{Doc: doc, Body: body, Done: func() { close(done) }}
	w.Submit(&j)
	<-done
	return j.Result, j.Err
}

// Err returns why the pool is of no use: its command has failed many times and never answered. It is nil otherwise.
func (w *Workers) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// Close finishes the jobs submitted and ends the workers. No job may be submitted any more. All processes are gone
// when it returns.
func (w *Workers) Close() {
	close(w.jobs)
	w.slots.Wait()
}

// slot runs one worker after another, usually just one.
func (w *Workers) slot() {
	var p *process
	for {
		var exited <-chan struct{}
		if p != nil {
			exited = p.exited
		}
		select {
		case j, ok := <-w.jobs:
			if !ok {
				if p != nil {
					p.stop(w.Grace)
				}
				return
			}
			p = w.process(p, j)
			j.Done()
		case <-exited: // it died at rest, which costs no record a try
			p = nil
		case <-w.ctx.Done():
			if p != nil {
				p.kill()
				p = nil
			}
			// From now on jobs fail at once.
			for j := range w.jobs {
				j.Err = context.Cause(w.ctx)
				j.Done()
			}
			return
		}
	}
}

// process does a job on p, or on a new process if p is nil, and returns the process to go on with.
func (w *Workers) process(p *process, j *Job) *process {
	const tries = 2
	for range tries {
		if j.Err = w.Err(); j.Err != nil {
			return p
		}
		if p != nil {
			select {
			case <-p.exited:
				p = nil
			default:
			}
		}
		if p == nil {
			if p, j.Err = startProcess(w); j.Err != nil {
				j.Err = fmt.Errorf("worker %q: start: %w", w.Name, j.Err)
				w.died(j.Err)
				continue
			}
		}
		if j.Err = p.do(j); j.Err == nil {
			w.lived()
			return p
		}
		p = nil
		if errors.Is(j.Err, context.Cause(w.ctx)) {
			return nil
		}
		w.died(j.Err)
	}
	return p
}

func (w *Workers) lived() {
	w.mu.Lock()
	w.answered, w.deaths = true, 0
	w.mu.Unlock()
}

// died counts workers that failed before any has ever answered. It is most likely the command that is wrong then, and
// not one record after another; going on would start two processes for each of them.
func (w *Workers) died(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths++
	if !w.answered && w.broken == nil && w.deaths >= 10+2*w.N {
		w.broken = fmt.Errorf("%w (%d times, without a single answer)", err, w.deaths)
	}
}
