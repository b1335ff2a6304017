package rondo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/loop"
)

// A scope is the context of a task, or of a block inside a task. It takes its
// values and its deadline from its parent. It is done when it is closed: when
// the task is canceled first or ends, or when the block is aborted or left.
//
// Parks under a scope of the task itself do not look at it: the task's
// cancellation is delivered to the park. It is there for code that only knows
// contexts.
type scope struct {
	parent context.Context
	task   *loop.Task
	outer  *scope        // of the same task
	block  *TimeoutBlock // of which it is the scope, or nil

	// Contexts are used by any goroutine, but mostly by nobody. So a scope is
	// closed by storing the state, and only then looked through for a watch; who
	// makes a watch looks at the state only after that. One sees the other.
	state atomic.Uint32
	watch atomic.Pointer[scopeWatch]
}

// The states of a scope.
const (
	scopeOpen uint32 = iota
	scopeCanceled
	scopeExpired
)

// A scopeWatch is what others have asked of a scope.
type scopeWatch struct {
	mu    sync.Mutex // guards what follows
	done  chan struct{}
	after map[*afterFunc]struct{}
}

type afterFunc struct{ f func() }

type scopeKey struct{}

var closedChan = make(chan struct{})

func init() { close(closedChan) }

func (s *scope) Value(key any) any {
	if _, ok := key.(scopeKey); ok {
		return s
	}
	return s.parent.Value(key)
}

func (s *scope) Deadline() (time.Time, bool) {
	d, ok := s.parent.Deadline()
	if s.block != nil && s.block.at != forever {
		if own := s.task.Loop().TimeOf(s.block.at); !ok || own.Before(d) {
			return own, true
		}
	}
	return d, ok
}

// watched returns the scope's watch, locked.
func (s *scope) watched() *scopeWatch {
	w := s.watch.Load()
	if w == nil {
		w = new(scopeWatch)
		if !s.watch.CompareAndSwap(nil, w) {
			w = s.watch.Load()
		}
	}
	w.mu.Lock()
	return w
}

func (s *scope) Done() <-chan struct{} {
	w := s.watched()
	defer w.mu.Unlock()
	if w.done == nil {
		if s.state.Load() != scopeOpen {
			return closedChan
		}
		w.done = make(chan struct{})
	}
	return w.done
}

func (s *scope) Err() error {
	switch s.state.Load() {
	case scopeCanceled:
		return context.Canceled
	case scopeExpired:
		return context.DeadlineExceeded
	}
	return nil
}

// AfterFunc makes contexts that the standard library derives cost no goroutine.
func (s *scope) AfterFunc(f func()) (stop func() bool) {
	w := s.watched()
	defer w.mu.Unlock()
	if s.state.Load() != scopeOpen {
		go f()
		return func() bool { return false }
	}
	a := &afterFunc{f}
	if w.after == nil {
		w.after = make(map[*afterFunc]struct{})
	}
	w.after[a] = struct{}{}
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, there := w.after[a]
		delete(w.after, a)
		return there
	}
}

// close makes the scope done, for one of the two reasons that Err knows. It is
// for the loop's thread.
func (s *scope) close(err error) {
	if s.state.Load() != scopeOpen {
		return
	}
	if err == context.DeadlineExceeded {
		s.state.Store(scopeExpired)
	} else {
		s.state.Store(scopeCanceled)
	}
	w := s.watch.Load()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done != nil {
		close(w.done)
	}
	for a := range w.after {
		go a.f()
	}
	w.after = nil
}

// closeFrom closes the scopes of a task from the innermost out to this one.
func (s *scope) closeFrom(innermost *scope, err error) {
	for x := innermost; x != nil; x = x.outer {
		x.close(err)
		if x == s {
			return
		}
	}
}

// scopeOf finds the scope that ctx belongs to, or nil.
func scopeOf(ctx context.Context) *scope {
	if s, ok := ctx.(*scope); ok {
		return s
	}
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

// within says whether ctx adds nothing to the scopes of t: its end is t's own
// affair.
func within(ctx context.Context, t *loop.Task) bool {
	if s, ok := ctx.(*scope); ok && s.task == t {
		return true
	}
	done := ctx.Done()
	if done == nil {
		return true
	}
	s := scopeOf(ctx)
	return s != nil && s.task == t && s.Done() == done
}

// taskFor returns the running task, which is to park under ctx. Usually it is
// the one that ctx belongs to, which is quickly seen.
func taskFor(ctx context.Context) (*loop.Task, error) {
	if s, ok := ctx.(*scope); ok && s.task.RunsHere() {
		return s.task, nil
	}
	return runningTask()
}

// locate says where the caller runs, as [loop.Current] does.
func locate(ctx context.Context) (*loop.Loop, *loop.Task) {
	if s, ok := ctx.(*scope); ok && s.task.RunsHere() {
		return s.task.Loop(), s.task
	}
	return loop.Current()
}

func runningTask() (*loop.Task, error) {
	if _, t := loop.Current(); t != nil {
		return t, nil
	}
	return nil, ErrNotTask
}

// park parks t, the running task, under ctx.
func park(ctx context.Context, t *loop.Task, a loop.Aborter) error {
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	err = t.Park(a)
	if stop != nil {
		stop()
	}
	return err
}

// under prepares for a park of t under ctx: it is what park does, without the
// frame. Stop, if it is not nil, must be called afterwards.
func under(ctx context.Context, t *loop.Task) (stop func(), err error) {
	if s, ok := ctx.(*scope); ok && s.task == t || within(ctx, t) {
		return nil, nil
	}
	return watch(ctx, t)
}

// A watched context is one of the standard library's under which a task parks.
type watched struct {
	ctx  context.Context
	task *loop.Task
	park uint64
}

func (w *watched) leave() { w.task.Leave(w.park, context.Cause(w.ctx)) }

// watch makes t leave its next park when ctx is done.
func watch(ctx context.Context, t *loop.Task) (stop func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	w := &watched{ctx, t, t.Parks() + 1}
	l := coreOf(t).runtime
	stopFunc := context.AfterFunc(ctx, func() {
		h := new(loop.Handle)
		h.Init(loop.Func(w.leave))
		l.k.Post(h)
	})
	if !l.k.Virtual() {
		return func() { stopFunc() }, nil
	}
	// The standard library tells of the end on a goroutine. Virtual time must
	// not run away meanwhile, so the loop also looks before it jumps.
	l.watched = append(l.watched, w)
	return func() {
		stopFunc()
		l.watched = slices.DeleteFunc(l.watched, func(x *watched) bool { return x == w })
	}, nil
}

// leaveDone makes the tasks whose contexts are done leave.
func (l *Loop) leaveDone() {
	for _, w := range l.watched {
		if w.ctx.Err() != nil {
			w.leave()
		}
	}
}

// Sleep parks the task for d. A d of zero or less gives the other ready tasks
// their turn, once. It is asyncio's sleep.
//
// Errors:
//   - a [CanceledError] if the task is canceled, the cause of ctx if that is done.
//   - [ErrNotTask] outside of tasks.
func Sleep(ctx context.Context, d time.Duration) error {
	t, err := taskFor(ctx)
	if err != nil {
		return err
	}
	if d <= 0 {
		if !within(ctx, t) && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return t.Yield()
	}
	stop, err := under(ctx, t)
	if err != nil {
		return err
	}
	err = t.SleepUntil(t.Loop().Now().Add(d))
	if stop != nil {
		stop()
	}
	return err
}

// isCancellation says whether err is, or wraps, the delivery of a cancellation.
// The errors of a group are errors, whatever is among them.
func isCancellation(err error) bool {
	switch err.(type) {
	case nil:
		return false
	case *CanceledError:
		return true
	}
	var ce *CanceledError
	var ge *GroupError
	return errors.As(err, &ce) && !errors.As(err, &ge)
}
