package loop

import (
	"runtime/debug"

	"github.com/rondo-go/rondo/coro"
	"github.com/rondo-go/rondo/internal/getg"
)

// A worker is a coroutine that runs one task after another. It serves until the
// loop is closed or has too many of them.
type worker struct {
	co   coro.Coroutine
	loop *Loop
	task *Task // nil when free
	g    uintptr
	sp   uintptr // where it parked, for prefetching
	quit bool
	// back is where to go at the first park or at the end, if the task was
	// started eagerly: the coroutine that started it, and its task.
	back     *coro.Coroutine
	backTask *Task
	// What the task that it runs parks, sleeps and waits with: a task needs
	// them only while it is on a worker.
	aborter Aborter // of the park in progress or the last one
	wake    error   // what the park in progress is to return
	onPark  Call    // to be told before the next park
	timer   Timer
	waiter  Waiter
	// stuck: a Goexit is under way below the present frame. Such a worker
	// serves on, but its goroutine cannot be ended (the Goexit would hit
	// whoever it resumes).
	stuck bool
}

func (l *Loop) newWorker() *worker {
	w := &worker{loop: l}
	w.timer.kind = kindWake
	w.co.Init(l.hub, func(*coro.Coroutine) {
		w.g = getg.Current()
		register(&place{l, w})
		l.debug.join(w)
		w.serve()
		l.debug.leave(w)
		unregister()
	})
	l.workers = append(l.workers, w)
	return w
}

// serve runs tasks until the worker is told to quit.
func (w *worker) serve() {
	l := w.loop
	for !w.quit {
		w.run(w.task)
		if w.back != nil {
			l.free = append(l.free, w)
			w.goBack()
			continue
		}
		// The usual case of dispatch, without its frame: see coro's Switch.
		if l.ready.len >= prefetchFrom {
			l.prefetch()
		}
		h := l.turn()
		if h == nil || h.kind != kindStep {
			l.dispatch(w, h)
			continue
		}
		l.current = h.task
		l.free = append(l.free, w)
		w.co.Switch(&h.task.worker.co)
	}
}

// goBack returns to the code that started w's task eagerly.
func (w *worker) goBack() {
	to := w.back
	w.loop.current = w.backTask
	w.back, w.backTask = nil, nil
	w.co.Switch(to)
}

// StartEager runs the first step of t at once, inside the call: it returns when t
// parks for the first time or ends.
func (l *Loop) StartEager(t *Task) {
	t.index = int32(len(l.tasks))
	l.tasks = append(l.tasks, t)
	_, creator := Current()
	w := l.idleWorker()
	w.task = t
	w.back, w.backTask = l.hub, nil
	from := l.hub
	if creator != nil {
		from = &creator.worker.co
		w.back, w.backTask = from, creator
	}
	l.current = t
	from.Switch(&w.co)
}

// run runs one task to its end. A panic ends here. A Goexit cannot be stopped:
// it goes on through the deferred calls below, so that the worker serves from
// within one of them.
func (w *worker) run(t *Task) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			t.body.Failed(t, &PanicError{p, debug.Stack()})
			w.end(t)
			return
		}
		w.stuck = true
		t.body.Failed(t, ErrGoexit)
		w.end(t)
		if w.back != nil {
			w.loop.free = append(w.loop.free, w)
			w.goBack()
		} else {
			w.loop.dispatch(w, w.loop.turn())
		}
		w.serve()
	}()
	t.worker, t.g = w, w.g
	t.state = taskRunning
	t.step.kind = kindStep
	t.body.Run(t)
	returned = true
	w.end(t)
}

// end marks the end of a task.
func (w *worker) end(t *Task) {
	l := w.loop
	if t.armed {
		t.beforePark()
	}
	t.state = taskDone
	t.worker, w.task, w.aborter = nil, nil, nil
	l.forget(t)
	t.body.Ended(t)
	t.must = false
	t.Done.Set(l)
}

// stillborn ends a task whose cancellation came before its first step: its body
// never runs.
func (l *Loop) stillborn(t *Task) {
	t.state = taskDone
	l.forget(t)
	t.body.Failed(t, t.due)
	t.body.Ended(t)
	t.must = false
	t.Done.Set(l)
}

func (l *Loop) forget(t *Task) {
	last := l.tasks[len(l.tasks)-1]
	l.tasks[t.index] = last
	last.index = t.index
	l.tasks[len(l.tasks)-1] = nil
	l.tasks = l.tasks[:len(l.tasks)-1]
}

// Coroutines are kept for reuse, but not for ever: after a burst, half of the
// free ones are ended whenever the loop is about to sleep and more than
// trimFloor are free and more than half of all are.
const trimFloor = 256

func (l *Loop) trim() {
	if len(l.free) <= trimFloor || len(l.free) <= len(l.workers)/2 {
		return
	}
	l.retire(len(l.free) / 2)
}

// retire ends n free workers. It runs on the loop's own goroutine.
func (l *Loop) retire(n int) {
	all := make([]*coro.Coroutine, len(l.workers))
	for i, w := range l.workers {
		all[i] = &w.co
	}
	var dead []*coro.Coroutine
	keep := l.free[:0]
	for _, w := range l.free {
		if len(dead) < n && !w.stuck {
			w.quit = true
			dead = append(dead, &w.co)
		} else {
			keep = append(keep, w)
		}
	}
	clear(l.free[len(keep):])
	l.free = keep
	l.hub.Retire(dead, all)
	alive := l.workers[:0]
	for _, w := range l.workers {
		if !w.quit {
			alive = append(alive, w)
		}
	}
	clear(l.workers[len(alive):])
	l.workers = alive
}
