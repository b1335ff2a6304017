package main

import (
	"context"
	"errors"
	"maps"

	"github.com/rondo-go/rondo"
)

// A call is one op of a task: who calls, and with what.
type call struct {
	*run
	ctx  context.Context
	me   string
	args []any
}

func (c call) str(i int) string       { return c.args[i].(string) }
func (c call) list(i int) []any       { return c.args[i].([]any) }
func (c call) object(i int) any       { return c.objects[c.str(i)] }
func (c call) target(i int) awaitable { return c.other(c.me, c.str(i)) }

// block runs a block that is an argument.
func (c call) sub(ctx context.Context, i int) (*leaving, error) {
	return c.block(ctx, c.me, c.list(i))
}

// or returns left if it is there, with the block's result in it, and else that.
func (l *leaving) or(result any) any {
	if l == nil {
		return result
	}
	return &leaving{l.value, result}
}

type opFunc func(c call) (any, error)

// ops are the ops of tasks, by name. Filled in by init, since blocks are ops too.
var ops map[string]opFunc

func init() {
	ops = map[string]opFunc{}
	for _, table := range []map[string]opFunc{controlOps, taskOps, waitOps, lockOps, queueOps, callbackOps, agenOps} {
		maps.Copy(ops, table)
	}
}

var controlOps = map[string]opFunc{
	"sleep": func(c call) (any, error) { return nil, rondo.Sleep(c.ctx, seconds(c.args[0])) },
	"ret":   func(c call) (any, error) { return &leaving{c.args[0], nil}, nil },
	"raise": func(c call) (any, error) { return nil, &raised{c.str(0), c.args[1].(float64)} },
	"try": func(c call) (result any, err error) {
		left, err := c.sub(c.ctx, 0)
		if catch := c.str(1); err != nil && (catch == "all" || catch == "exc" && !isCanceled(err)) {
			left, err = c.sub(c.ctx, 2)
		}
		if _, ferr := c.sub(c.ctx, 3); ferr != nil {
			return nil, ferr
		}
		if left != nil && err == nil {
			return left, nil // with the result of the inner block
		}
		return nil, err
	},
	"timeout": func(c call) (any, error) {
		var block *rondo.TimeoutBlock
		var left *leaving
		err := rondo.Timeout(c.ctx, seconds(c.args[0]), func(ctx context.Context) (err error) {
			block = rondo.TimeoutOf(ctx)
			c.timeouts[c.me] = append(c.timeouts[c.me], block)
			left, err = c.sub(ctx, 1)
			c.timeouts[c.me] = c.timeouts[c.me][:len(c.timeouts[c.me])-1]
			return err
		})
		if err != nil {
			return nil, err
		}
		return left.or(block.Expired()), nil
	},
	"resched": func(c call) (any, error) {
		open := c.timeouts[c.me]
		if len(open) == 0 {
			return none, nil
		}
		return name(open[len(open)-1].Reschedule(seconds(c.args[0])))
	},
	"group": func(c call) (any, error) {
		var left *leaving
		var group *rondo.Group
		err := rondo.WithGroup(c.ctx, func(g *rondo.Group) (err error) {
			group = g
			c.groups = append(c.groups, g)
			left, err = c.sub(g.Context(), 0)
			return err
		})
		for i, g := range c.groups {
			if g == group {
				c.groups = append(c.groups[:i], c.groups[i+1:]...)
				break
			}
		}
		if err != nil {
			return nil, err
		}
		return left.or(nil), nil
	},
}

// name makes an error a result.
func name(err error) (any, error) {
	if err != nil {
		return excName(err), nil
	}
	return nil, nil
}

// unless makes an error a result if it is one of those, and else raises it.
func unless(result any, err error, these ...error) (any, error) {
	for _, e := range these {
		if errors.Is(err, e) {
			return excName(err), nil
		}
	}
	return result, err
}

var taskOps = map[string]opFunc{
	"spawn": func(c call) (any, error) {
		c.start(c.str(0), func(b body) *rondo.Task[any] { return rondo.Spawn(c.ctx, b) })
		return nil, nil
	},
	"eager": func(c call) (any, error) {
		c.start(c.str(0), func(b body) *rondo.Task[any] { return rondo.Spawn(c.ctx, b, rondo.WithEager()) })
		return nil, nil
	},
	"gspawn": func(c call) (any, error) {
		if len(c.groups) == 0 {
			return "nogroup", nil
		}
		if c.tasks[c.str(0)] != nil || c.starting[c.str(0)] {
			return nil, nil
		}
		g := c.groups[len(c.groups)-1]
		if err := g.Admits(); err != nil {
			return nil, err
		}
		c.start(c.str(0), func(b body) *rondo.Task[any] { return rondo.Go(g, b) })
		return nil, nil
	},
	"await": func(c call) (any, error) {
		w := c.target(0)
		if w == nil {
			return none, nil
		}
		return w.Await(c.ctx)
	},
	"cancel": func(c call) (any, error) {
		w := c.find(c.str(0))
		if w == nil {
			return none, nil
		}
		message := ""
		if len(c.args) > 1 && c.args[1] != nil {
			message = show(c.args[1])
		}
		return w.Cancel(message), nil
	},
	"uncancel": func(c call) (any, error) {
		x := c.tasks[c.str(0)]
		if x == nil {
			return none, nil
		}
		return float64(x.Uncancel()), nil
	},
	"cancelling": func(c call) (any, error) { return float64(rondo.CurrentTask().Cancelling()), nil },
	"state": func(c call) (any, error) {
		w := c.find(c.str(0))
		if w == nil {
			return none, nil
		}
		return state(w), nil
	},
	"setres": func(c call) (any, error) { return name(c.object(0).(*rondo.Future[any]).Set(c.args[1])) },
	"setexc": func(c call) (any, error) {
		return name(c.object(0).(*rondo.Future[any]).Fail(&raised{c.str(1), c.args[2].(float64)}))
	},
	"ondone": func(c call) (any, error) {
		w, label := c.find(c.str(0)), c.str(1)
		if w == nil {
			return none, nil
		}
		c.callbacks[label] = w.OnDone(func() { c.emit("ondone", label, state(w)) })
		return nil, nil
	},
	"offdone": func(c call) (any, error) {
		w, callback := c.find(c.str(0)), c.callbacks[c.str(1)]
		if w == nil || callback == nil {
			return none, nil
		}
		if callback.Of(w) && callback.Remove() {
			return 1.0, nil
		}
		return 0.0, nil
	},
}

var modes = map[string]rondo.WaitMode{
	"ALL_COMPLETED": rondo.AllCompleted, "FIRST_COMPLETED": rondo.FirstCompleted, "FIRST_EXCEPTION": rondo.FirstException,
}

var waitOps = map[string]opFunc{
	"wait_for": func(c call) (any, error) {
		w := c.target(1)
		if w == nil {
			return none, nil
		}
		return rondo.WaitFor(c.ctx, w, seconds(c.args[0]))
	},
	"shield": func(c call) (any, error) {
		w := c.target(0)
		if w == nil {
			return none, nil
		}
		return rondo.Shield(w).Await(c.ctx)
	},
	"mkshield": func(c call) (any, error) {
		w := c.target(1)
		if w == nil || c.futures[c.str(0)] != nil {
			return none, nil
		}
		c.futures[c.str(0)] = rondo.Shield(w)
		return nil, nil
	},
	"gather": func(c call) (any, error) { return gather(c.others(c.me, c.args[0]), c.args[1].(bool)).Await(c.ctx) },
	"mkgather": func(c call) (any, error) {
		ws := c.others(c.me, c.args[1])
		if len(ws) == 0 || c.futures[c.str(0)] != nil {
			return none, nil
		}
		c.futures[c.str(0)] = gather(ws, c.args[2].(bool))
		return nil, nil
	},
	"waitset": func(c call) (any, error) {
		ws := c.others(c.me, c.args[0])
		if len(ws) == 0 {
			return none, nil
		}
		done, _, err := rondo.WaitTimeout(c.ctx, seconds(c.args[1]), modes[c.str(2)], ws...)
		if err != nil {
			return nil, err
		}
		names := []any{}
		for _, n := range c.list(0) {
			w := c.find(n.(string))
			for _, d := range done {
				if d == w {
					names = append(names, n)
					break
				}
			}
		}
		return names, nil
	},
	"as_completed": func(c call) (any, error) {
		for w, err := range rondo.AsCompletedTimeout(c.ctx, seconds(c.args[1]), c.others(c.me, c.args[0])...) {
			if err != nil {
				return nil, err
			}
			for _, n := range c.list(0) {
				if c.find(n.(string)) == w {
					c.emit(c.me, ".", "as_completed", n.(string), state(w))
					break
				}
			}
		}
		return nil, nil
	},
}

func gather(ws []awaitable, results bool) awaitable {
	if results {
		return rondo.AsAny(rondo.GatherResults(ws...))
	}
	return rondo.AsAny(rondo.Gather(ws...))
}

// locker is what locks, conditions and semaphores have in common.
type locker interface {
	Acquire(ctx context.Context) error
	Release() error
	Locked() bool
}

var lockOps = map[string]opFunc{
	"acq": func(c call) (any, error) { return true, c.object(0).(locker).Acquire(c.ctx) },
	"rel": func(c call) (any, error) { return name(c.object(0).(locker).Release()) },
	"with": func(c call) (any, error) {
		k := c.object(0).(locker)
		if err := k.Acquire(c.ctx); err != nil {
			return nil, err
		}
		c.emit(c.me, ".", "with", c.str(0))
		left, err := c.sub(c.ctx, 1)
		if rerr := k.Release(); rerr != nil {
			return nil, rerr
		}
		return left.or(nil), err
	},
	"locked": func(c call) (any, error) { return c.object(0).(locker).Locked(), nil },
	"wait": func(c call) (any, error) {
		switch x := c.object(0).(type) {
		case *rondo.Event:
			return true, x.Wait(c.ctx)
		case *rondo.Condition:
			return unless(true, x.Wait(c.ctx), rondo.ErrNotLocked)
		case *rondo.Barrier:
			index, err := x.Wait(c.ctx)
			return unless(float64(index), err, rondo.ErrBrokenBarrier)
		}
		return nil, &errSkip{"wait"}
	},
	"wait_until": func(c call) (any, error) {
		err := c.object(0).(*rondo.Condition).WaitFor(c.ctx, c.object(1).(*rondo.Event).IsSet)
		return unless(true, err, rondo.ErrNotLocked)
	},
	"set":   func(c call) (any, error) { c.object(0).(*rondo.Event).Set(); return nil, nil },
	"clear": func(c call) (any, error) { c.object(0).(*rondo.Event).Clear(); return nil, nil },
	"notify": func(c call) (any, error) {
		return name(c.object(0).(*rondo.Condition).Notify(int(c.args[1].(float64))))
	},
	"notify_all": func(c call) (any, error) { return name(c.object(0).(*rondo.Condition).NotifyAll()) },
	"breset":     func(c call) (any, error) { return nil, c.object(0).(*rondo.Barrier).Reset(c.ctx) },
	"babort":     func(c call) (any, error) { return nil, c.object(0).(*rondo.Barrier).Abort(c.ctx) },
}

// queue is what the queues have in common.
type queue interface {
	Put(ctx context.Context, v any) error
	TryPut(v any) error
	Get(ctx context.Context) (any, error)
	TryGet() (any, error)
	TaskDone() error
	Join(ctx context.Context) error
	Len() int
	Shutdown(immediate bool)
}

var queueOps = map[string]opFunc{
	"put": func(c call) (any, error) {
		return unless(nil, c.object(0).(queue).Put(c.ctx, c.args[1]), rondo.ErrShutDown)
	},
	"get": func(c call) (any, error) {
		v, err := c.object(0).(queue).Get(c.ctx)
		return unless(v, err, rondo.ErrShutDown)
	},
	"put_nowait": func(c call) (any, error) { return name(c.object(0).(queue).TryPut(c.args[1])) },
	"get_nowait": func(c call) (any, error) {
		v, err := c.object(0).(queue).TryGet()
		return unless(v, err, rondo.ErrShutDown, rondo.ErrQueueEmpty)
	},
	"task_done": func(c call) (any, error) { return name(c.object(0).(queue).TaskDone()) },
	"join":      func(c call) (any, error) { return nil, c.object(0).(queue).Join(c.ctx) },
	"qsize":     func(c call) (any, error) { return float64(c.object(0).(queue).Len()), nil },
	"shutdown":  func(c call) (any, error) { c.object(0).(queue).Shutdown(c.args[1].(bool)); return nil, nil },
}

var callbackOps = map[string]opFunc{
	"soon": func(c call) (any, error) {
		label := c.str(0)
		c.handles[label] = c.loop.CallSoon(func() { c.emit("call", label) })
		return nil, nil
	},
	"later": func(c call) (any, error) {
		label := c.str(1)
		c.handles[label] = c.loop.CallLater(seconds(c.args[0]), func() { c.emit("call", label) })
		return nil, nil
	},
	"at": func(c call) (any, error) {
		label := c.str(1)
		c.handles[label] = c.loop.CallAt(seconds(c.args[0]), func() { c.emit("call", label) })
		return nil, nil
	},
	"hcancel": func(c call) (any, error) {
		h := c.handles[c.str(0)]
		if h == nil {
			return none, nil
		}
		h.Cancel()
		return nil, nil
	},
	"hcancelled": func(c call) (any, error) {
		h := c.handles[c.str(0)]
		if h == nil {
			return none, nil
		}
		return h.Canceled(), nil
	},
	"soon_cancel": func(c call) (any, error) {
		target := c.str(0)
		c.loop.CallSoon(func() { c.cancelLater(target) })
		return nil, nil
	},
	"later_cancel": func(c call) (any, error) {
		target := c.str(1)
		c.loop.CallLater(seconds(c.args[0]), func() { c.cancelLater(target) })
		return nil, nil
	},
	"ctxset": func(c call) (any, error) { c.variable(c.str(0)).Set(c.args[1]); return nil, nil },
	"ctxget": func(c call) (any, error) { return show(c.variable(c.str(0)).Get()), nil },
	"ctxsoon": func(c call) (any, error) {
		v, label := c.variable(c.str(0)), c.str(1)
		c.loop.CallSoon(func() { c.emit("call", label, show(v.Get())) })
		return nil, nil
	},
	"ctxlater": func(c call) (any, error) {
		v, label := c.variable(c.str(1)), c.str(2)
		c.loop.CallLater(seconds(c.args[0]), func() { c.emit("call", label, show(v.Get())) })
		return nil, nil
	},
}

// cancelLater is a callback that cancels.
func (r *run) cancelLater(name string) {
	if w := r.find(name); w != nil {
		r.emit("callcancel", name, show(w.Cancel("")))
	}
}

func (r *run) variable(name string) *rondo.Var[any] {
	if r.vars[name] == nil {
		r.vars[name] = new(rondo.Var[any])
	}
	return r.vars[name]
}
