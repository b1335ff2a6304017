package loop

// Prefetching
//
// With thousands of tasks ready, none of what a switch touches is in the
// processor's cache any more: the task, its worker, its g, and the half dozen
// lines of its stack between the frame that parked and the code above. Taken one
// after the other, these misses cost more than the switch itself. But the ready
// queue tells who will run some switches ahead. So while a long queue is worked
// off, each switch also asks the processor for the lines of later ones: the task
// of the twelfth, the worker of the eighth (its task is here by now, so that the
// pointer can be followed), and the stack and the g of the fourth.
//
// Ten thousand tasks that yield take 90 ns each instead of 126. With few tasks
// everything is cached, and it would only cost.

const (
	prefetchFrom = 256 // handles in the ready queue

	aheadTask   = 12
	aheadWorker = 8
	aheadStack  = 4
)

// prefetch asks for what the next switches will touch. The ready queue is longer
// than aheadTask.
func (l *Loop) prefetch() {
	r := &l.ready
	mask := uint(len(r.buf) - 1)
	prefetchTask(r.buf[(r.head+aheadTask)&mask])
	if t := r.buf[(r.head+aheadWorker)&mask].task; t != nil && t.worker != nil {
		prefetchWorker(t.worker)
	}
	if t := r.buf[(r.head+aheadStack)&mask].task; t != nil && t.worker != nil {
		prefetchStack(t.worker.sp, t.g)
	}
}
