package loop

// A Timer is a handle with a deadline. Timers with equal deadlines run in the
// order in which they were started.
//
// The heap holds entries, not timers: an entry is stale once its timer was
// stopped or started anew, which shows in the sequence number. Stopping is
// therefore one store; stale entries are dropped at the head, or all together
// when they are more than half.
type Timer struct {
	Handle
	when Time
	seq  uint64 // of the entry that counts; 0 when not running
}

// When returns the deadline, on the loop's clock.
func (t *Timer) When() Time { return t.when }

// Running says whether the timer has a deadline to come.
func (t *Timer) Running() bool { return t.seq != 0 }

type timerEntry struct {
	when  Time
	seq   uint64
	timer *Timer
}

func (e *timerEntry) stale() bool { return e.timer.seq != e.seq }

func (e *timerEntry) before(f *timerEntry) bool {
	return e.when < f.when || e.when == f.when && e.seq < f.seq
}

// timers is a 4-ary heap.
type timers struct {
	heap  []timerEntry
	seq   uint64
	stale int
}

func (q *timers) start(t *Timer, when Time) {
	q.stop(t)
	t.canceled = false
	q.seq++
	t.when, t.seq = when, q.seq
	q.heap = append(q.heap, timerEntry{when, q.seq, t})
	q.up(len(q.heap) - 1)
}

func (q *timers) stop(t *Timer) {
	if t.seq == 0 {
		return
	}
	t.seq = 0
	q.stale++
	if q.stale > 64 && q.stale > len(q.heap)/2 {
		q.compact()
	}
}

// first returns the earliest timer, or nil.
func (q *timers) first() *Timer {
	for len(q.heap) > 0 {
		if !q.heap[0].stale() {
			return q.heap[0].timer
		}
		q.stale--
		q.removeHead()
	}
	return nil
}

// due takes the earliest timer out if its deadline is not after now.
func (q *timers) due(now Time) *Timer {
	t := q.first()
	if t == nil || t.when > now {
		return nil
	}
	t.seq = 0
	q.removeHead()
	return t
}

func (q *timers) compact() {
	keep := q.heap[:0]
	for _, e := range q.heap {
		if !e.stale() {
			keep = append(keep, e)
		}
	}
	clear(q.heap[len(keep):])
	q.heap, q.stale = keep, 0
	for i := (len(keep)+2)/4 - 1; i >= 0; i-- { // from the last that has a child
		q.down(i)
	}
}

func (q *timers) removeHead() {
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = timerEntry{}
	q.heap = q.heap[:last]
	if last > 0 {
		q.down(0)
	}
}

func (q *timers) up(i int) {
	e := q.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

func (q *timers) down(i int) {
	e := q.heap[i]
	for {
		least := 4*i + 1
		if least >= len(q.heap) {
			break
		}
		for c := least + 1; c < min(4*i+5, len(q.heap)); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = e
}
