package fetch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Output writes records, one JSON object a line. Records are added without blocking by any number of goroutines and
// loops; one goroutine of its own writes them, when there is 64 KiB of them or 50 ms have passed. Who adds records asks
// Full afterwards and waits with OnRoom, which bounds the memory and slows fetching down to what the file takes.
//
// An error of writing stays: every later call returns it, and it names the file.
type Output struct {
	name string
	w    io.WriteCloser

	mu      sync.Mutex
	pending []byte
	records int // pending
	written int
	err     error
	closed  bool
	timed   bool // the timer runs
	waiting []func()
	failed  func(error)

	wake  chan struct{} // holds one
	timer *time.Timer
	done  chan struct{}
}

const (
	outputBatch = 64 << 10
	outputRoom  = outputBatch + 16<<10 // with what is added until the goroutine takes the batch; more is seldom needed
	outputFull  = 256 << 10
	outputDelay = 50 * time.Millisecond
)

// CreateOutput opens name for writing, emptied; "-" is standard output. An error while writing is given to failed, once,
// on a goroutine of the Output; failed may be nil.
func CreateOutput(name string, failed func(error)) (*Output, error) {
	if name == "-" {
		return NewOutput("standard output", keepOpen{os.Stdout}, failed), nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write records: %w", err) // has the file's name
	}
	return NewOutput(name, f, failed), nil
}

// keepOpen is a file that isn't ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// NewOutput returns an Output that writes to w and closes it at the end. The name is for errors.
func NewOutput(name string, w io.WriteCloser, failed func(error)) *Output {
	o := &Output{name: name, w: w, failed: failed, wake: make(chan struct{}, 1), done: make(chan struct{}), pending: make([]byte, 0, outputRoom)}
	o.timer = time.AfterFunc(time.Hour, o.signal)
	o.timer.Stop()
	go o.run()
	return o
}

// Add adds a record. It fails if writing has failed; the record is lost then, as are those before it that are not
// counted by Written.
func (o *Output) Add(r *Record) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.pending = append(r.AppendJSON(o.pending), '\n')
	o.records++
	switch {
	case len(o.pending) >= outputBatch:
		o.signal()
	case !o.timed:
		o.timed = true
		o.timer.Reset(outputDelay)
	}
	return nil
}

func (o *Output) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Full reports whether whoever adds records ought to wait.
func (o *Output) Full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.full()
}

func (o *Output) full() bool { return len(o.pending) >= outputFull && o.err == nil }

// OnRoom calls f once the Output is not full, or has failed: at once and in place, or later on a goroutine of the Output.
// f must not block.
func (o *Output) OnRoom(f func()) {
	o.mu.Lock()
	if !o.full() {
		o.mu.Unlock()
		f()
		return
	}
	o.waiting = append(o.waiting, f)
	o.mu.Unlock()
}

// Written returns how many records have been written.
func (o *Output) Written() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written
}

// Close writes what is left, closes the file and returns the first error of all.
func (o *Output) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.signal()
	<-o.done
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *Output) run() {
	defer close(o.done)
	spare := make([]byte, 0, outputRoom)
	for range o.wake {
		o.mu.Lock()
		closed, batch, n := o.closed, o.pending, o.records
		o.pending, o.records, o.timed = spare[:0], 0, false
		o.timer.Stop()
		o.mu.Unlock()
		var err error
		if len(batch) > 0 {
			_, err = o.w.Write(batch)
		}
		if closed || err != nil {
			err = errors.Join(err, o.w.Close())
		}
		spare = batch
		o.finish(n, err)
		if closed || err != nil {
			return
		}
	}
}

// finish records how the writing of n records went, and calls those who wait.
func (o *Output) finish(n int, err error) {
	o.mu.Lock()
	if err == nil {
		o.written += n
	} else {
		o.err = fmt.Errorf("write records to %s: %w (%d records are written)", o.name, err, o.written)
		o.pending = nil
	}
	waiting, err := o.waiting, o.err
	o.waiting = nil
	o.mu.Unlock()
	for _, f := range waiting {
		f()
	}
	if err != nil && o.failed != nil {
		o.failed(err)
	}
}
