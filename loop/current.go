package loop

import (
	"sync"
	"sync/atomic"

	"github.com/rondo-go/rondo/internal/getg"
	"github.com/rondo-go/rondo/internal/sys"
)

// Which task is running here?
//
// The question is asked by everything that parks, without a context in hand (a
// net.Conn's Read has none), and from any goroutine of the program. The answer
// is looked up by the address of the running g: every coroutine of every loop,
// and every loop's own goroutine, registers its g in one table when it starts
// and clears it before it ends, since the runtime reuses a g at once. A lookup
// is two atomic loads, and no lock.
//
// A g that is not in the table is usually off every loop. But a task may run an
// iter.Pull of its own (a generator), whose body is another g on the same
// thread, and awaits from there. So the thread id decides where the g is
// unknown: that costs a system call, paid off the loop only. Where there is no
// assembly for g, the thread id alone decides.

type place struct {
	loop *Loop
	// worker is nil for the loop's own goroutine.
	worker *worker
}

type placeSlot struct {
	g     atomic.Uintptr // 0 empty, 1 deleted
	place atomic.Pointer[place]
}

type placeTable struct {
	slots []placeSlot // a power of two
	used  int         // entries and deleted ones
}

var places struct {
	mu      sync.Mutex
	table   atomic.Pointer[placeTable]
	threads atomic.Pointer[map[int]*Loop]
}

func init() {
	places.table.Store(&placeTable{slots: make([]placeSlot, 64)})
	places.threads.Store(&map[int]*Loop{})
}

// hash spreads the address of a g, an allocation of several hundred bytes.
func hash(g uintptr) uintptr { return uintptr(uint64(g) * 0x9E3779B97F4A7C15 >> 20) }

func (t *placeTable) find(g uintptr) *place {
	mask := uintptr(len(t.slots) - 1)
	for i := hash(g) & mask; ; i = (i + 1) & mask {
		switch s := &t.slots[i]; s.g.Load() {
		case g:
			return s.place.Load()
		case 0:
			return nil
		}
	}
}

// insert assumes that there is room and that g is not there.
func (t *placeTable) insert(g uintptr, p *place) {
	mask := uintptr(len(t.slots) - 1)
	for i := hash(g) & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.g.Load() == 0 {
			s.place.Store(p)
			s.g.Store(g)
			t.used++
			return
		}
	}
}

func register(p *place) {
	if !getg.Supported {
		return
	}
	g := getg.Current()
	places.mu.Lock()
	defer places.mu.Unlock()
	t := places.table.Load()
	if 2*(t.used+1) > len(t.slots) {
		live := 0
		for i := range t.slots {
			if t.slots[i].g.Load() > 1 {
				live++
			}
		}
		size := 64
		for size < 4*(live+1) {
			size *= 2
		}
		bigger := &placeTable{slots: make([]placeSlot, size)}
		for i := range t.slots {
			if s := &t.slots[i]; s.g.Load() > 1 {
				bigger.insert(s.g.Load(), s.place.Load())
			}
		}
		t = bigger
		places.table.Store(t)
	}
	t.insert(g, p)
}

func unregister() {
	if !getg.Supported {
		return
	}
	g := getg.Current()
	places.mu.Lock()
	defer places.mu.Unlock()
	t := places.table.Load()
	mask := uintptr(len(t.slots) - 1)
	for i := hash(g) & mask; ; i = (i + 1) & mask {
		switch s := &t.slots[i]; s.g.Load() {
		case g:
			s.g.Store(1)
			s.place.Store(nil)
			return
		case 0:
			return
		}
	}
}

// setThread notes which loop runs on the calling thread; nil: none.
func setThread(l *Loop) {
	tid := sys.Gettid()
	if tid == 0 {
		return
	}
	places.mu.Lock()
	defer places.mu.Unlock()
	threads := make(map[int]*Loop)
	for k, v := range *places.threads.Load() {
		threads[k] = v
	}
	if l != nil {
		threads[tid] = l
	} else {
		delete(threads, tid)
	}
	places.threads.Store(&threads)
}

// Current returns the loop on whose thread the caller runs, and the task that
// is running. The task is nil in a callback, which runs on the loop's own
// goroutine; both are nil off every loop.
func Current() (*Loop, *Task) {
	if getg.Supported {
		if p := places.table.Load().find(getg.Current()); p != nil {
			if p.worker == guest {
				return p.loop, p.loop.current
			}
			if p.worker == nil {
				return p.loop, nil
			}
			return p.loop, p.worker.task
		}
	}
	threads := *places.threads.Load()
	if len(threads) == 0 {
		return nil, nil
	}
	if l := threads[sys.Gettid()]; l != nil {
		return l, l.current
	}
	return nil, nil
}

// OnLoop says whether the caller runs on l's thread.
func (l *Loop) OnLoop() bool {
	here, _ := Current()
	return here == l
}
