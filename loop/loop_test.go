package loop

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sleeper is a poller that does nothing but sleep: enough for a loop without I/O.
type sleeper struct {
	fakePoller
	wake  chan struct{}
	wakes atomic.Int64
}

func newSleeper() *sleeper { return &sleeper{wake: make(chan struct{}, 1)} }

func (s *sleeper) Wait(d time.Duration) (int, error) {
	if d == 0 {
		return 0, nil
	}
	var after <-chan time.Time
	if d > 0 {
		after = time.After(d)
	}
	select {
	case <-s.wake:
	case <-after:
	}
	return 0, nil
}

func (s *sleeper) Wake() {
	s.wakes.Add(1)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// program is a task's body.
type program struct {
	run   func(t *Task)
	err   error
	ended bool
}

func (p *program) Run(t *Task)               { p.run(t) }
func (p *program) Failed(_ *Task, err error) { p.err = err }
func (p *program) Ended(*Task)               { p.ended = true }

func start(l *Loop, run func(t *Task)) (*Task, *program) {
	t, p := new(Task), &program{run: run}
	t.Init(l, p)
	l.Start(t)
	return t, p
}

func TestLoopPostWakesOnlyASleeper(t *testing.T) {
	s := newSleeper()
	l := New(Options{Poller: s})
	const posts = 10000
	n := 0
	go func() {
		for range posts {
			h := new(Handle)
			h.Init(Func(func() {
				if n++; n == posts {
					l.Stop()
				}
			}))
			if err := l.Post(h); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := l.Run(); err != nil || n != posts {
		t.Errorf("%d of %d handles ran, %v", n, posts, err)
	}
	if s.wakes.Load() > posts {
		t.Errorf("%d wake-ups for %d posts", s.wakes.Load(), posts)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Post(new(Handle)); !errors.Is(err, ErrClosed) {
		t.Errorf("post to a closed loop: %v", err)
	}
}

func TestLoopCurrentKnowsWhereItIs(t *testing.T) {
	l := New(Options{Poller: newSleeper()})
	defer l.Close()
	if here, task := Current(); here != nil || task != nil {
		t.Error("a goroutine off the loop is on one")
	}
	var x *Task
	x, _ = start(l, func(*Task) {
		if here, task := Current(); here != l || task != x || !x.RunsHere() {
			t.Errorf("in the task: %p, %p", here, task)
		}
		l.CallSoon(Func(func() {
			if here, task := Current(); here != l || task != nil {
				t.Errorf("in a callback: %p, %p", here, task)
			}
			l.Stop()
		}))
		elsewhere := make(chan bool)
		go func() {
			here, _ := Current()
			elsewhere <- here == nil && !l.OnLoop() && !x.RunsHere()
		}()
		if !<-elsewhere {
			t.Error("a goroutine of a task is on the loop")
		}
	})
	if err := l.Run(); err != nil {
		t.Error(err)
	}
}

func TestLoopRunsInOnePlaceOnly(t *testing.T) {
	l := New(Options{Poller: newSleeper()})
	defer l.Close()
	start(l, func(*Task) {
		if err := l.Run(); !errors.Is(err, ErrRunning) {
			t.Errorf("a loop inside itself: %v", err)
		}
		l.Stop()
	})
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	other := make(chan error)
	go func() { other <- l.Run() }()
	if err := <-other; err == nil {
		t.Error("another goroutine ran the loop")
	}
}

// A lock that its home loop takes all the time is given up for goroutines, and
// guards what it should.
func TestLockExcludesLoopsAndGoroutines(t *testing.T) {
	var k Lock
	inside, sum := 0, 0
	use := func(here *Loop) {
		k.Lock(here)
		if inside++; inside != 1 {
			t.Error("two are inside")
		}
		sum++
		inside--
		k.Unlock(here)
	}
	const each = 2000
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			l := New(Options{Poller: newSleeper()})
			defer l.Close()
			start(l, func(x *Task) {
				for range each {
					use(l)
					x.Yield()
				}
				l.Stop()
			})
			if err := l.Run(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for range each {
				use(nil)
			}
		})
	}
	wg.Wait()
	if sum != 4*each {
		t.Errorf("sum %d, want %d", sum, 4*each)
	}
}

func TestTaskOnParkIsCalledOnce(t *testing.T) {
	l := New(Options{Poller: newSleeper()})
	defer l.Close()
	calls := 0
	count := Func(func() { calls++ })
	start(l, func(x *Task) {
		x.OnPark(count)
		x.Yield()
		x.Yield()
		if calls != 1 {
			t.Errorf("%d calls after two yields", calls)
		}
		x.OnPark(count)
		x.OnPark(nil)
		x.Yield()
		if calls != 1 {
			t.Errorf("it was taken back, and called")
		}
		x.OnPark(count) // for the end
		l.CallSoon(Func(l.Stop))
	})
	if err := l.Run(); err != nil || calls != 2 {
		t.Errorf("%d calls after the end, %v", calls, err)
	}
}

func TestTaskLeaveNamesItsPark(t *testing.T) {
	l := New(Options{Poller: newSleeper()})
	defer l.Close()
	why := errors.New("why")
	var x *Task
	var got []error
	x, _ = start(l, func(*Task) {
		got = append(got, x.Park(AbortFunc(func() {})))
		got = append(got, x.Park(AbortFunc(func() {})))
		l.Stop()
	})
	start(l, func(y *Task) {
		x.Leave(x.Parks()+1, why) // of a park to come: nothing
		x.Unpark()
		y.Yield()
		y.Yield()
		x.Leave(1, why) // of a park that is over: nothing
		x.Leave(2, why)
	})
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if len(got) != 2 || got[0] != nil || got[1] != why {
		t.Errorf("the parks returned %v", got)
	}
}
