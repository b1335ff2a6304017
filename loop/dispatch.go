package loop

import "time"

// The iteration
//
// One iteration is asyncio's: timers that were canceled are dropped; the poller
// is asked (not blocking if anything is ready), and what it completed is
// appended to the ready queue; due timers are appended; then exactly the
// handles that are in the queue now are run. What they schedule runs in the
// next iteration.
//
// There is no loop in the middle that runs it. Whoever parks takes the next
// handle itself (dispatch): an internal handle it runs in place, a task's step
// it switches to directly, and if that task is itself, it just returns. Only
// two things need the loop's own goroutine, the hub: user callbacks, which get
// a clean stack and no current task, and sleeping.
//
// Asking the kernel costs more than a switch (epoll_wait 0.2 us, the clock 47
// ns, a task's step 0.03). So in real time an iteration asks only when the
// ready queue is empty, or when so many handles have run since the last time
// that about pollEvery has passed; on the virtual clock, each iteration asks,
// and the order is asyncio's to the letter.

const (
	pollEvery  = 50 * time.Microsecond
	pollLeast  = 16
	pollMost   = 1024
	pollAtOnce = 64
)

// A sleep costs some 5 us. Where timers are many, and so lie close together, the
// loop does not sleep for each: it serves them together, up to this much late.
// (The kernel's own slack is 50 us; asyncio's, with epoll, a millisecond.)
const (
	timerGrain = 200 * time.Microsecond
	timerMany  = 256
)

func (l *Loop) push(h *Handle) {
	if h.kind == kindStep {
		h.task.state = taskReady
	}
	l.ready.push(h)
}

// turn begins an iteration if the present one is over, as far as that needs no
// sleep, and returns the next handle. It returns nil if the hub has to stop or
// sleep.
func (l *Loop) turn() *Handle {
	for {
		if l.left > 0 {
			l.left--
			h := l.ready.pop()
			if h.canceled && h.kind != kindStep && h.kind != kindStart {
				continue
			}
			if l.debug != nil {
				l.debug.begin(h)
			}
			return h
		}
		if l.stopping || !l.begin() {
			if l.debug != nil {
				l.debug.end()
			}
			return nil
		}
	}
}

// next is turn for a task that parks: it also returns the worker to switch to, if
// the next handle asks for no more than that.
func (l *Loop) next() (to *worker, h *Handle) {
	if l.ready.len >= prefetchFrom {
		l.prefetch()
	}
	h = l.turn()
	if h == nil {
		return nil, nil
	}
	switch h.kind {
	case kindStep:
		l.current = h.task
		return h.task.worker, h
	case kindStart:
		if n := len(l.free); n > 0 && !h.task.must {
			to = l.free[n-1]
			l.free = l.free[:n-1]
			to.task, l.current = h.task, h.task
			return to, h
		}
	}
	return nil, h
}

// begin begins an iteration. False: nothing is ready, so that the loop has to
// sleep first, in the same iteration.
func (l *Loop) begin() bool {
	if !l.slept {
		l.iteration++
	}
	l.slept = false
	if l.hasInbox.Load() {
		l.takeInbox()
	}
	l.budget -= l.snapshot
	l.snapshot = 0
	switch {
	case l.virtual:
		if l.ready.len == 0 && (l.inflight > 0 || l.timers.first() == nil || l.timers.first().when > l.now) {
			l.slept = true
			return false
		}
		if l.inflight > 0 {
			l.ask(0)
		}
		l.takeDue()
	case l.ready.len == 0:
		l.slept = true
		return false
	case l.budget <= 0:
		l.ask(0)
		l.refill()
		l.takeDue()
	}
	l.snapshot, l.left = l.ready.len, l.ready.len
	return true
}

// refill sets how many handles may run before the kernel is asked again.
func (l *Loop) refill() {
	now := l.Now()
	passed := now.Sub(l.now)
	l.now = now
	if l.budgetSet > 0 && passed > 0 {
		next := int64(l.budgetSet) * int64(pollEvery) / int64(passed)
		l.budgetSet = int(min(max(next, pollLeast, int64(l.budgetSet)/2), pollMost, int64(l.budgetSet)*2))
	} else {
		l.budgetSet = pollAtOnce
	}
	l.budget = l.budgetSet
}

func (l *Loop) takeDue() {
	if len(l.timers.heap) == 0 {
		return
	}
	for {
		t := l.timers.due(l.now)
		if t == nil {
			return
		}
		l.push(&t.Handle)
	}
}

// ask polls without blocking.
func (l *Loop) ask(d time.Duration) int {
	n, err := l.poller.Wait(d)
	if err != nil {
		panic("rondo: poller " + l.poller.Name() + ": " + err.Error())
	}
	return n
}

// sleep ends the first half of an iteration that found nothing ready: it waits
// for the poller, another thread or the next timer. It runs on the hub.
func (l *Loop) sleep() {
	l.trim()
	first := l.timers.first()
	if l.virtual {
		l.sleepVirtually(first)
		return
	}
	d := time.Duration(-1)
	if first != nil {
		d = max(0, first.when.Sub(l.Now()))
		if d < timerGrain && len(l.timers.heap) > timerMany {
			d = timerGrain
		}
	}
	l.block(d)
	l.now = l.Now()
	l.budgetSet, l.budget = 0, pollAtOnce
	if l.hasInbox.Load() {
		l.takeInbox()
	}
	l.takeDue()
	l.snapshot, l.left = l.ready.len, l.ready.len
	l.slept = l.left == 0
}

// block waits in the kernel, and can be woken by other threads.
func (l *Loop) block(d time.Duration) int {
	l.sleeping.Store(true)
	if l.hasInbox.Load() {
		d = 0
	}
	n := l.ask(d)
	l.sleeping.Store(false)
	return n
}

// sleepVirtually jumps to the next timer, unless something outside can happen
// first: a thread that works for a task is waited for without limit, I/O in
// flight for a moment.
func (l *Loop) sleepVirtually(first *Timer) {
	l.onJump()
	n := 0
	switch {
	case l.ready.len > 0:
	case first != nil && first.when <= l.now:
	case l.external > 0, first == nil && (l.inflight > 0 || !l.exitIdle):
		n = l.block(-1)
	case l.inflight > 0:
		n = l.block(grace)
	}
	if l.hasInbox.Load() {
		l.takeInbox()
	}
	if n == 0 && l.ready.len == 0 && l.external == 0 {
		if first = l.timers.first(); first != nil {
			l.now = max(l.now, first.when)
		} else if l.inflight == 0 && l.exitIdle {
			l.idle = true
		}
	}
	l.takeDue()
	l.snapshot, l.left = l.ready.len, l.ready.len
	l.slept = l.left == 0
}

// dispatch runs handles, of which h is the first, until it is w's turn to go on:
// its task is resumed, or it was given a new task, or is to quit. If w has no
// task, it is free.
func (l *Loop) dispatch(w *worker, h *Handle) {
	self := w.task
	for ; ; h = l.turn() {
		if h == nil {
			l.away(w)
			l.current = nil
			w.co.Switch(l.hub)
			return
		}
		switch h.kind {
		case kindStep:
			t := h.task
			l.current = t
			if t == self {
				return
			}
			l.away(w)
			w.co.Switch(&t.worker.co)
			return
		case kindStart:
			t := h.task
			if t.must {
				l.stillborn(t)
				continue
			}
			l.current = t
			if self == nil {
				w.task = t
				return
			}
			if len(l.free) == 0 {
				// The hub makes the coroutine: here it would take stack of
				// the task's, which then keeps twice as much as it needs.
				l.fresh = t
				w.co.Switch(l.hub)
				return
			}
			to := l.idleWorker()
			to.task = t
			w.co.Switch(&to.co)
			return
		case kindWake:
			h.task.Unpark()
		case kindInternal:
			h.call.Call()
		case kindCallback:
			l.callback = h
			l.away(w)
			l.current = nil
			w.co.Switch(l.hub)
			return
		}
	}
}

// away notes that w is about to sleep: without a task it is free.
func (l *Loop) away(w *worker) {
	if w.task == nil {
		l.free = append(l.free, w)
	}
}

func (l *Loop) idleWorker() *worker {
	if n := len(l.free); n > 0 {
		w := l.free[n-1]
		l.free[n-1] = nil
		l.free = l.free[:n-1]
		return w
	}
	return l.newWorker()
}

// run is the hub's part: it dispatches, runs user callbacks and sleeps, until
// the loop is stopped.
func (l *Loop) run() {
	for {
		if h := l.callback; h != nil {
			l.callback = nil
			l.invoke(h)
		}
		if t := l.fresh; t != nil {
			l.fresh = nil
			to := l.idleWorker()
			to.task = t
			l.hub.Switch(&to.co)
			continue
		}
		h := l.turn()
		if h == nil {
			if l.stopping || l.idle {
				return
			}
			l.sleep()
			continue
		}
		switch h.kind {
		case kindStep:
			l.current = h.task
			l.hub.Switch(&h.task.worker.co)
		case kindStart:
			if h.task.must {
				l.stillborn(h.task)
				continue
			}
			to := l.idleWorker()
			to.task = h.task
			l.current = h.task
			l.hub.Switch(&to.co)
		case kindWake:
			h.task.Unpark()
		case kindInternal:
			h.call.Call()
		case kindCallback:
			l.callback = h
		}
	}
}
