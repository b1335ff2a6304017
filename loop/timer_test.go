package loop

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The heap against a sorted list: deadlines in order, equal ones in the order in
// which they were started, stopped ones never.
func TestTimersAreASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q timers
		var model []*Timer // running ones, in the order of starting
		all := make([]*Timer, 40)
		for i := range all {
			all[i] = new(Timer)
		}
		drop := func(x *Timer) {
			if i := slices.Index(model, x); i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
		}
		earliest := func() *Timer {
			var first *Timer
			for _, x := range model {
				if first == nil || x.when < first.when {
					first = x
				}
			}
			return first
		}
		now := Time(0)
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				x := all[rapid.IntRange(0, 39).Draw(t, "timer")]
				drop(x)
				q.start(x, now+Time(rapid.IntRange(0, 8).Draw(t, "in")))
				model = append(model, x)
			},
			"stop": func(t *rapid.T) {
				x := all[rapid.IntRange(0, 39).Draw(t, "timer")]
				drop(x)
				q.stop(x)
			},
			"pass": func(t *rapid.T) {
				now += Time(rapid.IntRange(0, 4).Draw(t, "time"))
				for {
					want := earliest()
					if want != nil && want.when > now {
						want = nil
					}
					got := q.due(now)
					if got != want {
						t.Fatalf("due at %d: %+v, want %+v", now, got, want)
					}
					if got == nil {
						return
					}
					drop(got)
				}
			},
			"": func(t *rapid.T) {
				if got := q.first(); got != earliest() {
					t.Fatalf("first is %+v, want %+v", got, earliest())
				}
				for _, x := range all {
					if x.Running() != slices.Contains(model, x) {
						t.Fatalf("%+v: running %v", x, x.Running())
					}
				}
			},
		})
	})
}

func TestTimersForgetWhatWasStopped(t *testing.T) {
	var q timers
	for i := range 100000 {
		x := new(Timer)
		q.start(x, Time(i))
		q.stop(x)
	}
	if len(q.heap) > 300 {
		t.Errorf("%d entries are left of 100000 stopped timers", len(q.heap))
	}
}

func TestRingIsAFIFO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var model []*Handle
		for range rapid.IntRange(0, 500).Draw(t, "steps") {
			if len(model) == 0 || rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				h := new(Handle)
				r.push(h)
				model = append(model, h)
			} else {
				if h := r.pop(); h != model[0] {
					t.Fatal("out of order")
				}
				model = model[1:]
			}
			if r.len != len(model) {
				t.Fatalf("length %d, want %d", r.len, len(model))
			}
		}
	})
}

func TestSignalRunsItsHandlesInOrder(t *testing.T) {
	l := New(Options{})
	var s Signal
	hs := make([]*Handle, 5)
	for i := range hs {
		hs[i] = NewCallback(Func(func() {}))
		s.Add(l, hs[i])
	}
	for _, i := range []int{0, 2, 4} {
		if !s.Remove(hs[i]) || s.Remove(hs[i]) {
			t.Errorf("Remove of handle %d", i)
		}
	}
	s.Set(l)
	late := NewCallback(Func(func() {}))
	s.Add(l, late)
	for _, want := range []*Handle{hs[1], hs[3], late} {
		if got := l.ready.pop(); got != want {
			t.Error("out of order")
		}
	}
	if l.ready.len != 0 || !s.IsSet() {
		t.Errorf("%d handles too many", l.ready.len)
	}
}

func BenchmarkTimerStartStop(b *testing.B) {
	var q timers
	live := make([]Timer, 10000)
	b.ReportAllocs()
	for i := range b.N {
		x := &live[i%len(live)]
		q.stop(x)
		q.start(x, Time(i)+Time(i*7919%1000))
	}
}

// The loop's clock is the system's monotonic one, which setting the time of day does not
// move: its epoch has such a reading.
func TestLoopClockIsMonotonic(t *testing.T) {
	l := New(Options{Poller: newSleeper()})
	if l.epoch == l.epoch.Round(0) { // which takes the reading off
		t.Error("the loop counts from a time of day")
	}
	if a, b := l.Now(), l.Now(); a < 0 || b < a || a > Time(time.Minute) {
		t.Errorf("the clock shows %d, then %d", a, b)
	}
}
