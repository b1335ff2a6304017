package loop

// A Call is what a [Handle] runs. Call is invoked on the loop's thread.
type Call interface{ Call() }

// Func adapts a function to [Call].
type Func func()

// Call calls f.
func (f Func) Call() { f() }

// The kinds of handles, by where and how they run.
const (
	kindCallback uint8 = iota // user code: runs on the loop's own goroutine
	kindInternal              // runs in place, on whichever coroutine is dispatching; must not park
	kindStep                  // resumes a parked task
	kindStart                 // starts a fresh task on a free coroutine
	kindWake                  // a timer of a task that sleeps: unparks it
)

// A Handle is a scheduled call. The zero Handle is not usable: handles come
// from the loop's methods, or are prepared with [Handle.Init]. A handle belongs
// to the loop's thread.
type Handle struct {
	kind     uint8
	canceled bool
	task     *Task
	call     Call
}

// Init prepares a handle that runs c in place, between two steps of tasks. C
// is kernel code: it must be short and must not park, block or panic.
func (h *Handle) Init(c Call) { h.kind, h.call = kindInternal, c }

// InitCallback prepares a handle that runs c, user code, on the loop's own
// goroutine.
func (h *Handle) InitCallback(c Call) { h.kind, h.call = kindCallback, c }

// NewCallback returns a handle that runs c, user code, on the loop's own
// goroutine when it is scheduled.
func NewCallback(c Call) *Handle { return &Handle{kind: kindCallback, call: c} }

// Cancel keeps the handle from running, if it has not run yet.
func (h *Handle) Cancel() { h.canceled = true }

// Canceled says whether Cancel has been called.
func (h *Handle) Canceled() bool { return h.canceled }

// A ring is the ready queue: a FIFO of handles in a circular buffer whose
// length is a power of two.
type ring struct {
	buf  []*Handle
	head uint
	len  int
}

func (r *ring) push(h *Handle) {
	if r.len == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+uint(r.len))&uint(len(r.buf)-1)] = h
	r.len++
}

func (r *ring) pop() *Handle {
	i := r.head & uint(len(r.buf)-1)
	h := r.buf[i]
	r.buf[i] = nil
	r.head++
	r.len--
	return h
}

func (r *ring) grow() {
	buf := make([]*Handle, max(64, 2*len(r.buf)))
	for i := range r.len {
		buf[i] = r.buf[(r.head+uint(i))&uint(len(r.buf)-1)]
	}
	r.buf, r.head = buf, 0
}
