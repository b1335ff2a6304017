package loop

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Debug mode
//
// A step is what runs between two looks at the ready queue: a task until it
// parks, or a callback. While one runs, nothing else does, so a step that takes
// long is what an event loop must be told of; and one that never ends (a
// sync.Mutex, a channel) cannot be told of by the loop itself. So the loop only
// publishes that a step has begun, and a goroutine off the loop, the watchdog,
// looks at that from time to time. Without debug mode this costs the loop one
// predictable branch a step.
//
// Whose stack is it? The runtime's dump of all goroutines does not tell threads.
// But a loop's goroutines are its own, its workers', and those of generators that
// they started, which are children by iter.Pull; and all of them but the one that
// has the thread are in the state "coroutine".

// A Debug is what the debug mode of a loop is made with.
type Debug struct {
	// Slow is how long a step may take.
	Slow time.Duration
	// OnSlow is told of a step that takes longer: once by the watchdog, on its
	// own goroutine, while the step runs (if that lasts long enough to be
	// seen); and once on the loop, when it has ended.
	OnSlow func(SlowStep)
}

// A SlowStep is a step that has taken too long.
type SlowStep struct {
	// Task is the task whose step it is, or nil for a callback.
	Task *Task
	// Took is how long it has run.
	Took time.Duration
	// Ended says whether it is over.
	Ended bool
	// Stack is where it was seen, or empty if it was not.
	Stack []byte
}

type debugger struct {
	Debug
	// step counts beginnings and ends: it is odd while a step runs.
	step  atomic.Uint64
	task  atomic.Pointer[Task]
	begun atomic.Int64 // on the wall clock's monotonic reading, since epoch
	epoch time.Time
	seen  atomic.Pointer[sighting]

	mu      sync.Mutex // guards what follows
	hub     uint64     // the loop's goroutine
	members map[*worker]uint64
}

// A sighting is a step that the watchdog has seen at work.
type sighting struct {
	step  uint64
	stack []byte
}

func newDebugger(d *Debug) *debugger {
	if d == nil {
		return nil
	}
	return &debugger{Debug: *d, epoch: time.Now(), members: make(map[*worker]uint64)}
}

// begin is the end of the step before, if there is one, and the beginning of
// that of h.
func (d *debugger) begin(h *Handle) {
	d.end()
	d.task.Store(h.task)
	d.begun.Store(int64(time.Since(d.epoch)))
	d.step.Add(1)
}

// end is the end of a step.
func (d *debugger) end() {
	step := d.step.Load()
	if step&1 == 0 {
		return
	}
	d.step.Store(step + 1)
	took := d.took()
	if took < d.Slow {
		return
	}
	s := SlowStep{Task: d.task.Load(), Took: took, Ended: true}
	if seen := d.seen.Swap(nil); seen != nil && seen.step == step {
		s.Stack = seen.stack
	}
	d.OnSlow(s)
}

func (d *debugger) took() time.Duration { return time.Since(d.epoch) - time.Duration(d.begun.Load()) }

// watch starts the watchdog. It is called by the goroutine that is about to run
// the loop.
func (d *debugger) watch() (stop func()) {
	if d == nil {
		return func() {}
	}
	d.mu.Lock()
	d.hub = goid()
	d.mu.Unlock()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(max(d.Slow/4, time.Millisecond))
		defer tick.Stop()
		told := uint64(0)
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if step := d.step.Load(); step&1 == 1 && step != told && d.took() >= d.Slow {
				if d.look(step) {
					told = step
				}
			}
		}
	})
	return func() {
		d.end()
		close(quit)
		wg.Wait()
	}
}

// look tells of the step that runs. It returns false if the step has ended
// meanwhile, so that what was seen is perhaps another's.
func (d *debugger) look(step uint64) bool {
	s := SlowStep{Task: d.task.Load(), Took: d.took(), Stack: d.running(goroutines())}
	d.seen.Store(&sighting{step, s.Stack})
	if d.step.Load() != step {
		return false
	}
	d.OnSlow(s)
	return true
}

// join notes the goroutine of a worker, which calls it.
func (d *debugger) join(w *worker) {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.members[w] = goid()
	d.mu.Unlock()
}

func (d *debugger) leave(w *worker) {
	if d == nil {
		return
	}
	d.mu.Lock()
	delete(d.members, w)
	d.mu.Unlock()
}

// running picks the stack of the goroutine that has the loop's thread.
func (d *debugger) running(all []goroutine) []byte {
	d.mu.Lock()
	ours := map[uint64]bool{d.hub: true}
	for _, id := range d.members {
		ours[id] = true
	}
	d.mu.Unlock()
	for grown := true; grown; {
		grown = false
		for _, g := range all {
			if g.pulledBy != 0 && ours[g.pulledBy] && !ours[g.id] {
				ours[g.id], grown = true, true
			}
		}
	}
	for _, g := range all {
		if ours[g.id] && !strings.HasPrefix(g.state, "coroutine") {
			return g.stack
		}
	}
	return nil
}

// Stacks returns, in debug mode, where the loop's parked tasks are. It stops the
// program for a moment.
func (l *Loop) Stacks() map[*Task][]byte {
	if l.debug == nil {
		return nil
	}
	all := goroutines()
	stacks := make(map[*Task][]byte)
	l.debug.mu.Lock()
	defer l.debug.mu.Unlock()
	byID := make(map[uint64][]byte, len(all))
	for _, g := range all {
		byID[g.id] = g.stack
	}
	for _, t := range l.tasks {
		if t.worker != nil {
			stacks[t] = byID[l.debug.members[t.worker]]
		}
	}
	return stacks
}

// A goroutine is one of a dump.
type goroutine struct {
	id       uint64
	state    string
	pulledBy uint64 // who started it by iter.Pull
	stack    []byte
}

// mostDump bounds a dump: past it, goroutines are missing.
const mostDump = 64 << 20

// goroutines takes a dump.
func goroutines() []goroutine {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < mostDump {
		buf = make([]byte, 4*len(buf))
		n = runtime.Stack(buf, true)
	}
	return parseDump(buf[:n])
}

func parseDump(dump []byte) []goroutine {
	var all []goroutine
	for text := range bytes.SplitSeq(bytes.TrimSpace(dump), []byte("\n\n")) {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		g := goroutine{id: idOf(line), stack: text}
		if _, rest, ok := bytes.Cut(line, []byte("[")); ok {
			state, _, _ := bytes.Cut(rest, []byte("]"))
			g.state = string(state)
		}
		if _, by, ok := bytes.Cut(text, []byte("\ncreated by iter.Pull")); ok {
			if _, id, ok := bytes.Cut(by, []byte(" in ")); ok {
				g.pulledBy = idOf(id)
			}
		}
		all = append(all, g)
	}
	return all
}

// goid returns the number of the calling goroutine. It costs a microsecond or
// two, and is for debug mode only.
func goid() uint64 {
	var buf [64]byte
	return idOf(buf[:runtime.Stack(buf[:], false)])
}

// idOf reads "goroutine 18 ...".
func idOf(text []byte) uint64 {
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	id, _ := strconv.ParseUint(string(text[:end]), 10, 64)
	return id
}
