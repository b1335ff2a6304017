package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
)

// The asyncio family: an interpreter of scenarios over the public API of package
// rondo. Each op is one call; what it prints is what the README of the kit says.

// An awaitable is a task or a future of a scenario.
type awaitable = rondo.Awaitable[any]

// A run is one run of one scenario.
type run struct {
	scenario *scenario
	loop     *rondo.Loop
	trace    []string

	names    []string // of tasks, in order of creation
	tasks    map[string]*rondo.Task[any]
	starting map[string]bool // tasks whose eager first step is running
	futures  map[string]awaitable
	objects  map[string]any
	agens    map[string]*agen

	handles   map[string]canceler
	callbacks map[string]*rondo.DoneCallback
	groups    []*rondo.Group // open ones, the one entered last at the end
	timeouts  map[string][]*rondo.TimeoutBlock
	vars      map[string]*rondo.Var[any]
}

type canceler interface {
	Cancel()
	Canceled() bool
}

// errSkip says that the interpreter does not know an op.
type errSkip struct{ op string }

func (e *errSkip) Error() string { return "op " + e.op + " is not supported" }

const maxIterations = 20000

// runAsyncio runs a scenario on a loop of its own.
func runAsyncio(s *scenario) (trace []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			skip, ok := p.(*errSkip)
			if !ok {
				panic(p)
			}
			err = skip
		}
	}()
	if err := supported(s); err != nil {
		return nil, err
	}
	l, err := rondo.NewLoop(rondo.WithVirtualTime(), rondo.WithExitWhenIdle(),
		rondo.WithExceptionHandler(func(rondo.Report) {}))
	if err != nil {
		return nil, err
	}
	r := &run{
		scenario: s, loop: l,
		tasks: map[string]*rondo.Task[any]{}, starting: map[string]bool{}, futures: map[string]awaitable{},
		objects: map[string]any{}, agens: map[string]*agen{}, handles: map[string]canceler{},
		callbacks: map[string]*rondo.DoneCallback{}, timeouts: map[string][]*rondo.TimeoutBlock{},
		vars: map[string]*rondo.Var[any]{},
	}
	l.CallSoon(r.boot)
	if err := l.RunForever(); !errors.Is(err, rondo.ErrDeadlock) {
		l.Close()
		return nil, fmt.Errorf("the run ended with %v", err)
	}
	trace = r.finish()
	r.trace = nil
	return trace, l.Close()
}

// boot is the first callback: it makes the objects, and starts the task main.
func (r *run) boot() {
	for _, o := range r.scenario.Objs {
		r.make(o.Name, o.Value.([]any))
	}
	for _, a := range r.scenario.Agens {
		r.agens[a.Name] = newAgen(r, a.Name, a.Value.([]any))
	}
	r.start("main", func(body body) *rondo.Task[any] { return rondo.Spawn(context.Background(), body) })
}

func (r *run) make(name string, spec []any) {
	n := 0
	if len(spec) > 1 {
		n = int(spec[1].(float64))
	}
	switch kind := spec[0].(string); kind {
	case "fut":
		f := rondo.NewFuture[any]()
		r.futures[name], r.objects[name] = f, f
	case "lock":
		r.objects[name] = rondo.NewLock()
	case "event":
		r.objects[name] = rondo.NewEvent()
	case "cond":
		r.objects[name] = rondo.NewCondition(nil)
	case "sem":
		r.objects[name] = rondo.NewSemaphore(n)
	case "bsem":
		r.objects[name] = rondo.NewBoundedSemaphore(n)
	case "queue":
		r.objects[name] = rondo.NewQueue[any](n)
	case "lifo":
		r.objects[name] = rondo.NewLIFOQueue[any](n)
	case "prio":
		r.objects[name] = rondo.NewPriorityQueue(n, func(a, b any) int {
			x, y := a.(float64), b.(float64)
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
	case "barrier":
		r.objects[name] = rondo.NewBarrier(n)
	default:
		panic(&errSkip{"object " + kind})
	}
}

// finish returns the trace with its closing lines.
func (r *run) finish() []string {
	end := "end idle"
	var last []string
	for _, name := range r.names {
		x := r.tasks[name]
		if !x.Done() {
			end = "end deadlock"
		}
		last = append(last, fmt.Sprintf("final %s %s %d", name, state(x), x.Cancelling()))
	}
	var names []string
	for name := range r.futures {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		last = append(last, "final "+name+" "+state(r.futures[name]))
	}
	return append(append(r.trace, end), last...)
}

func (r *run) emit(words ...string) {
	if r.loop.Iteration() > maxIterations {
		panic("endless scenario")
	}
	stamp := fmt.Sprintf("%s/%d", show(r.loop.Time().Seconds()), r.loop.Iteration())
	r.trace = append(r.trace, stamp+" "+strings.Join(words, " "))
}

// state is how a task or future stands.
func state(w awaitable) string {
	switch {
	case !w.Done():
		return "pending"
	case w.Canceled():
		return "cancelled"
	case w.Err() != nil:
		return "exc:" + excName(w.Err())
	}
	v, _ := w.Result()
	return "ok:" + show(plain(v))
}

// plain turns the results of a gathering into values of a scenario.
func plain(v any) any {
	switch v := v.(type) {
	case []rondo.Result[any]:
		items := make([]any, len(v))
		for i, x := range v {
			if items[i] = plain(x.Value); x.Err != nil {
				items[i] = x.Err
			}
		}
		return items
	case []any:
		items := make([]any, len(v))
		for i, x := range v {
			items[i] = plain(x)
		}
		return items
	}
	return v
}

// rondoExc names the errors of package rondo as asyncio does.
func rondoExc(err error) (string, bool) {
	var group *rondo.GroupError
	var canceled *rondo.CanceledError
	var late *rondo.TimeoutError
	switch {
	case errors.As(err, &group):
		var names []string
		for _, e := range group.Errors {
			names = append(names, excName(e))
		}
		return "EG[" + strings.Join(names, ",") + "]", true
	case errors.As(err, &canceled):
		if canceled.Message != "" {
			return "CancelledError:" + canceled.Message, true
		}
		return "CancelledError", true
	case errors.As(err, &late):
		return "TimeoutError", true
	}
	for target, name := range map[error]string{
		rondo.ErrQueueEmpty: "QueueEmpty", rondo.ErrQueueFull: "QueueFull", rondo.ErrShutDown: "QueueShutDown",
		rondo.ErrBrokenBarrier: "BrokenBarrierError", rondo.ErrNotLocked: "RuntimeError",
		rondo.ErrReleasedTooOften: "ValueError", rondo.ErrTaskDoneTooOften: "ValueError", rondo.ErrDone: "InvalidStateError",
		rondo.ErrTimeoutOver: "RuntimeError", rondo.ErrGroupEnded: "RuntimeError", rondo.ErrGroupAborting: "RuntimeError",
		rondo.ErrIgnoredClose: "StopAsyncIteration",
	} {
		if errors.Is(err, target) {
			return name, true
		}
	}
	return "", false
}

func isCanceled(err error) bool {
	var group *rondo.GroupError
	var canceled *rondo.CanceledError
	return errors.As(err, &canceled) && !errors.As(err, &group)
}

type body = func(ctx context.Context) (any, error)

// start makes the task called name, unless there is one.
func (r *run) start(name string, create func(body) *rondo.Task[any]) {
	if r.tasks[name] != nil || r.starting[name] {
		return
	}
	r.starting[name] = true
	ops := r.scenario.Tasks[name]
	x := create(func(ctx context.Context) (any, error) {
		left, err := r.block(ctx, name, ops)
		if err != nil || left == nil {
			return nil, err
		}
		return left.value, nil
	})
	delete(r.starting, name)
	r.tasks[name] = x
	r.names = append(r.names, name)
	x.OnDone(func() { r.emit("done", name, state(x)) })
}

// find returns the task or future called name, or nil.
func (r *run) find(name string) awaitable {
	if x := r.tasks[name]; x != nil {
		return x
	}
	if f := r.futures[name]; f != nil {
		return f
	}
	return nil
}

// other is find, but nil for the task called me: nobody waits for himself.
func (r *run) other(me, name string) awaitable {
	if name == me && r.tasks[name] != nil {
		return nil
	}
	return r.find(name)
}

func (r *run) others(me string, names any) (found []awaitable) {
	for _, name := range names.([]any) {
		if w := r.other(me, name.(string)); w != nil {
			found = append(found, w)
		}
	}
	return found
}

// A leaving is what a block returns when a "ret" in it ended the task's body.
type leaving struct {
	value  any
	result any // of the block itself, for its end line
}

// block runs ops in order.
func (r *run) block(ctx context.Context, me string, ops []any) (*leaving, error) {
	for _, op := range ops {
		left, err := r.step(ctx, me, op.([]any))
		if left != nil || err != nil {
			return left, err
		}
	}
	return nil, nil
}

// none is a result that is printed; nil is not.
const none = "none"

// step runs one op between its start line and its end line.
func (r *run) step(ctx context.Context, me string, op []any) (*leaving, error) {
	kind := op[0].(string)
	words := []string{me, ">", kind}
	for _, a := range op[1:] {
		if _, ok := a.([]any); !ok {
			words = append(words, show(a))
		}
	}
	r.emit(words...)
	result, err := ops[kind](call{r, ctx, me, op[1:]})
	if err != nil {
		r.emit(me, "<", kind, "!", excName(err))
		return nil, err
	}
	left, ok := result.(*leaving)
	if ok {
		result = left.result
	}
	words = []string{me, "<", kind}
	if result != nil {
		words = append(words, show(plain(result)))
	}
	r.emit(words...)
	return left, nil
}

// supported looks for ops that the interpreter does not know.
func supported(s *scenario) error {
	var look func(v any) error
	look = func(v any) error {
		op, ok := v.([]any)
		if !ok || len(op) == 0 {
			return nil
		}
		if _, isBlock := op[0].([]any); isBlock {
			for _, x := range op {
				if err := look(x); err != nil {
					return err
				}
			}
			return nil
		}
		kind, ok := op[0].(string)
		if !ok || ops[kind] == nil {
			return &errSkip{fmt.Sprint(op[0])}
		}
		switch kind {
		case "try", "timeout", "group", "with", "afor":
			for _, x := range op[1:] {
				if err := look(x); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, name := range s.TaskNames() {
		for _, op := range s.Tasks[name] {
			if err := look(op); err != nil {
				return err
			}
		}
	}
	return nil
}

func seconds(v any) time.Duration {
	if v == nil {
		return rondo.Forever
	}
	return time.Duration(v.(float64) * float64(time.Second))
}
