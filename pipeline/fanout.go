package pipeline

import (
	"context"
	"errors"
	"hash/maphash"

	"github.com/rondo-go/rondo"
)

// ErrLag is the error of a branch of policy [Fail] that has fallen behind.
var ErrLag = errors.New("pipeline: branch has fallen behind its bound")

// A Policy says what happens to an item for a branch that has fallen behind.
type Policy uint8

const (
	// Block waits for the branch, and so do its siblings.
	Block Policy = iota
	// DropOldest drops the oldest item that waits for the branch.
	DropOldest
	// DropNewest drops the item.
	DropNewest
	// Fail ends the branch with [ErrLag], behind what waits for it. See
	// [Sink.Isolated] for how its siblings survive that.
	Fail
)

func (p Policy) String() string {
	return [...]string{"block", "drop oldest", "drop newest", "fail"}[p&3]
}

// A Branch is how one of the streams of [Broadcast] is to be. The zero Branch
// blocks.
type Branch struct {
	Policy Policy
	// Lag is how many items may wait for the branch; 0 means 128.
	Lag  int
	Name string
}

// hub is a source that several branches read. They are tasks of their own; so is
// the source, which the first branch that runs starts.
type hub[T any] struct {
	s        Stream[T]
	n        *node
	branches []Branch
	nodes    []*node
	pipes    []*pipe[T]
	left     int
	task     *rondo.Task[struct{}]
	// unwanted is what is said of items for a branch that has had enough.
	unwanted error
	// route hands an item to pipes.
	route func(ctx context.Context, v T, a *ack) error
}

func newHub[T any](kind string, s Stream[T], branches []Branch) (*hub[T], []Stream[T]) {
	h := &hub[T]{s: s, n: stage(kind, s.n), branches: branches}
	h.n.must(len(branches) > 0, "no branches; name at least one")
	streams := make([]Stream[T], len(branches))
	for i, b := range branches {
		n := &node{kind: "branch", name: b.Name, inputs: []*node{h.n}}
		n.must(b.Lag >= 0, "Lag %d; it must not be negative (0 is 128)", b.Lag)
		n.must(b.Policy <= Fail, "no such policy")
		h.nodes = append(h.nodes, n)
		streams[i] = Stream[T]{n, func(ctx context.Context, r *runState, emit emitter[T]) error {
			return h.read(ctx, r, i, emit)
		}}
	}
	h.n.branches = h.nodes
	return h, streams
}

func (h *hub[T]) start(r *runState) {
	for i, b := range h.branches {
		size := b.Lag
		if size == 0 {
			size = defaultSize
		}
		h.pipes = append(h.pipes, newPipe[T](r, &h.nodes[i].c, size))
	}
	h.task = r.spawn(h.s.n, func(ctx context.Context) {
		err := h.s.run(ctx, r, func(v T, a *ack) error {
			h.n.c.in++
			if h.left == len(h.pipes) {
				return errLeft
			}
			return h.route(ctx, v, a)
		})
		for _, p := range h.pipes {
			if !p.ended {
				p.finish(err)
			}
		}
	})
}

// read is the stream of branch i.
func (h *hub[T]) read(ctx context.Context, r *runState, i int, emit emitter[T]) error {
	if h.task == nil {
		h.start(r)
	}
	p := h.pipes[i]
	cause := context.Canceled // after a panic
	defer func() {
		p.leave()
		for p.err = cause; p.n > 0; p.c.dropped++ {
			p.pop().a.done(cause)
		}
		if h.left++; h.left == len(h.pipes) {
			h.task.Cancel("")
		}
	}()
	err := p.drain(ctx, emit)
	if cause = err; isStop(err) {
		cause = h.unwanted
	}
	return err
}

// put hands an item to branch i. Taken says that its ack is cared for.
func (h *hub[T]) put(ctx context.Context, i int, v T, a *ack) (taken bool, err error) {
	p := h.pipes[i]
	if p.n == len(p.buf) && !p.left && !p.ended {
		switch h.branches[i].Policy {
		case DropOldest:
			p.pop().a.done(nil)
			p.c.dropped++
		case DropNewest:
			p.c.in++
			p.c.dropped++
			a.done(nil)
			return true, nil
		case Fail:
			p.finish(h.nodes[i].fails(ErrLag))
		}
	}
	if err := p.put(ctx, v, a); err == errLeft {
		return false, nil
	} else if err != nil {
		return true, err
	}
	h.n.c.out++
	return true, nil
}

// Broadcast gives every item to every branch. A branch that reads no more is left
// out; when all have stopped, so does s. All branches must be read, in one [Run].
func Broadcast[T any](s Stream[T], branches ...Branch) []Stream[T] {
	h, streams := newHub("broadcast", s, branches)
	h.route = func(ctx context.Context, v T, a *ack) error {
		a.share(len(h.pipes) - 1)
		for i := range h.pipes {
			taken, err := h.put(ctx, i, v, a)
			if err != nil {
				return err
			}
			if !taken {
				a.done(h.pipes[i].err)
			}
		}
		return nil
	}
	return streams
}

// Partition gives each item to one of k branches, those of equal key to the same.
// Items for a branch that reads no more are dropped, and counted there.
func Partition[T any, K comparable](s Stream[T], k int, key func(T) K) []Stream[T] {
	seed := maphash.MakeSeed()
	h, streams := newHub("partition", s, make([]Branch, max(k, 0)))
	h.route = func(ctx context.Context, v T, a *ack) error {
		i := int(maphash.Comparable(seed, key(v)) % uint64(k))
		taken, err := h.put(ctx, i, v, a)
		if !taken {
			h.nodes[i].c.in++
			h.nodes[i].c.dropped++
			a.done(nil)
		}
		return err
	}
	return streams
}

// RoundRobin gives the items to k branches in turn, but for those that read no
// more. What waits for a branch that stops is dropped, and its source is told
// [ErrNotConsumed].
func RoundRobin[T any](s Stream[T], k int) []Stream[T] {
	turn := -1
	return split("roundrobin", s, k, func(h *hub[T]) int {
		for {
			if turn++; turn == k {
				turn = 0
			}
			if !h.pipes[turn].left {
				return turn
			}
		}
	})
}

// LeastLoaded gives each item to the one of k branches for which the fewest wait.
// See [RoundRobin] for those that stop.
func LeastLoaded[T any](s Stream[T], k int) []Stream[T] {
	return split("leastloaded", s, k, func(h *hub[T]) int {
		best := -1
		for i, p := range h.pipes {
			if !p.left && (best < 0 || p.n < h.pipes[best].n) {
				best = i
			}
		}
		return best
	})
}

// split makes k branches that block, each item going to one that choose returns,
// and to another if that has stopped meanwhile.
func split[T any](kind string, s Stream[T], k int, choose func(h *hub[T]) int) []Stream[T] {
	h, streams := newHub(kind, s, make([]Branch, max(k, 0)))
	h.unwanted = ErrNotConsumed
	h.route = func(ctx context.Context, v T, a *ack) error {
		for h.left < len(h.pipes) {
			taken, err := h.put(ctx, choose(h), v, a)
			if taken {
				return err
			}
		}
		return errLeft
	}
	return streams
}
