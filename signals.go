package rondo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/rondo-go/rondo/loop"
)

// signalBacklog is how many signals may wait for a loop, and how many more for the
// body of a range over [Signals]. The system itself keeps one of each kind.
const signalBacklog = 64

// Signals is the sequence of the signals sigs that the process gets, from when it
// is ranged over: ranging parks until the next one, and while it lasts, the
// signals do not have their usual effect (if it is SIGINT's, [Run] does not
// interrupt main). None is lost while the body runs, up to 64 that wait.
//
// The sequence ends when ctx is done, which ctx.Err tells, or the task is
// canceled: then the cancellation is also delivered to the next park after it. On
// a goroutine off the loop, ranging blocks. It panics without a signal, with one
// that cannot be caught, and when it is ranged over in a callback.
func Signals(ctx context.Context, sigs ...os.Signal) iter.Seq[os.Signal] {
	if len(sigs) == 0 {
		panic("rondo: Signals without a signal")
	}
	for _, sig := range sigs {
		if slices.Contains(uncatchable, sig) {
			panic("rondo: signal cannot be caught: " + sig.String())
		}
	}
	return func(yield func(os.Signal) bool) {
		here, t := locate(ctx)
		switch {
		case here == nil:
			pushSignals(ctx, sigs, yield)
		case t == nil:
			panic("rondo: Signals in a callback (use Loop.AddSignalHandler)")
		default:
			parkForSignals(ctx, t, sigs, yield)
		}
	}
}

func pushSignals(ctx context.Context, sigs []os.Signal, yield func(os.Signal) bool) {
	c := make(chan os.Signal, signalBacklog)
	signal.Notify(c, sigs...)
	defer signal.Stop(c)
	for ctx.Err() == nil {
		select {
		case sig := <-c:
			if !yield(sig) {
				return
			}
		case <-ctx.Done():
		}
	}
}

func parkForSignals(ctx context.Context, t *loop.Task, sigs []os.Signal, yield func(os.Signal) bool) {
	var queue []os.Signal
	waiting := false
	w := coreOf(t).runtime.watchSignals(sigs, func(sig os.Signal) {
		if len(queue) < signalBacklog {
			queue = append(queue, sig)
		}
		if waiting {
			t.Unpark()
		}
	})
	defer w.stop()
	for {
		for len(queue) == 0 {
			waiting = true
			err := park(ctx, t, loop.AbortFunc(func() { waiting = false }))
			waiting = false
			var canceled *CanceledError
			if errors.As(err, &canceled) {
				t.Owe(canceled) // there is no error to return
			}
			if err != nil {
				return
			}
		}
		sig := queue[0]
		queue = queue[1:]
		if !yield(sig) {
			return
		}
	}
}

// AddSignalHandler has fn called on the loop, as a callback (see [Loop.CallSoon]),
// each time that the process gets sig. It replaces the handler before, and the
// signal's usual effect; that of SIGINT replaces what [Run] does. It stays until
// [Loop.RemoveSignalHandler] or the end of the loop.
//
// Errors: [ErrClosed]; syscall.EINVAL if sig cannot be caught.
func (l *Loop) AddSignalHandler(sig os.Signal, fn func()) error {
	switch {
	case l.k.Closed():
		return fmt.Errorf("add handler of signal %v: %w", sig, ErrClosed)
	case slices.Contains(uncatchable, sig):
		return fmt.Errorf("add handler of signal %v: it cannot be caught: %w", sig, syscall.EINVAL)
	}
	here, t := loop.Current()
	if here != l.k {
		t = nil
		if l.debug != nil {
			l.checkThread("Loop.AddSignalHandler")
		}
	}
	c := contextual(l.k, t, fn)
	w := l.watchSignals([]os.Signal{sig}, func(os.Signal) { l.k.Schedule(loop.NewCallback(c)) })
	l.RemoveSignalHandler(sig)
	if l.signals == nil {
		l.signals = make(map[os.Signal]*signalWatch)
	}
	l.signals[sig] = w
	return nil
}

// RemoveSignalHandler takes a handler back. It returns false if there was none.
func (l *Loop) RemoveSignalHandler(sig os.Signal) bool {
	w := l.signals[sig]
	if w == nil {
		return false
	}
	delete(l.signals, sig)
	w.stop()
	return true
}

// closeSignals takes all handlers back.
func (l *Loop) closeSignals() {
	for sig := range l.signals {
		l.RemoveSignalHandler(sig)
	}
}

// A signalWatch brings signals to a loop. Package os/signal gives them to
// channels only, so a goroutine carries them over.
type signalWatch struct {
	loop    *Loop
	c       chan os.Signal
	quit    chan struct{}
	deliver func(os.Signal)
	call    loop.Handle
	stopped bool // of the loop
	takes   bool // SIGINT, from Run

	mu   sync.Mutex // guards come
	come []os.Signal
}

// watchSignals has deliver called on the loop for each of sigs, until stop.
func (l *Loop) watchSignals(sigs []os.Signal, deliver func(os.Signal)) *signalWatch {
	w := &signalWatch{
		loop: l, c: make(chan os.Signal, signalBacklog), quit: make(chan struct{}),
		deliver: deliver, takes: slices.Contains(sigs, os.Interrupt),
	}
	w.call.Init(w)
	if w.takes {
		l.interrupts.Add(1)
	}
	signal.Notify(w.c, sigs...)
	go w.carry()
	return w
}

func (w *signalWatch) carry() {
	for {
		select {
		case sig := <-w.c:
			w.mu.Lock()
			n := len(w.come)
			if n < signalBacklog {
				w.come = append(w.come, sig)
			}
			w.mu.Unlock()
			if n == 0 {
				w.loop.k.Post(&w.call)
			}
		case <-w.quit:
			return
		}
	}
}

// Call takes what has come, on the loop.
func (w *signalWatch) Call() {
	w.mu.Lock()
	come := w.come
	w.come = nil
	w.mu.Unlock()
	for _, sig := range come {
		if w.stopped {
			return
		}
		w.deliver(sig)
	}
}

// stop ends the watch. It is for the loop's thread, or what closes the loop.
func (w *signalWatch) stop() {
	w.stopped = true
	signal.Stop(w.c)
	close(w.quit)
	if w.takes {
		w.loop.interrupts.Add(-1)
	}
}
