package pipeline

import (
	"math/bits"
	"time"
)

// Stats are a stage's counters.
type Stats struct {
	Stage    string
	In       int // items taken
	Out      int // items passed on
	InFlight int // calls going on
	Waiting  int // items between this stage and the one before
	Blocked  int // tasks that wait until this stage has room
	Dropped  int // by a policy, or to a dead-letter function
	// P50 and P99 are of how long the stage's function takes, what it waits
	// included, to a fifth. After the first 64 calls only a sample is timed.
	P50, P99 time.Duration
}

// Stats returns the counters of all stages, inputs first. It may be called before,
// while and after the pipeline runs, on the loop's thread.
func (p *Pipeline) Stats() []Stats {
	all := make([]Stats, 0, len(p.nodes))
	for _, n := range p.nodes {
		c := &n.c
		s := Stats{Stage: n.String(), In: c.in, Out: c.out, Blocked: c.blocked, Dropped: c.dropped, P50: c.quantile(0.5), P99: c.quantile(0.99)}
		if c.waiting != nil {
			s.Waiting = c.waiting()
		}
		if c.inFlight != nil {
			s.InFlight = c.inFlight()
		} else {
			s.InFlight = c.calls
		}
		all = append(all, s)
	}
	return all
}

// counters are what a stage counts while it runs.
type counters struct {
	in, out, dropped int
	blocked          int
	calls            int
	inFlight         func() int
	waiting          func() int
	times            *[64 * 4]uint32
	begun, observed  int
}

// untimed is the start of a call that is not in the sample.
const untimed = -1

// begin notes that an item has come and a call begins.
func (c *counters) begin(r *runState) time.Duration {
	c.calls++
	c.in++
	return c.sample(r, 63)
}

// finish notes that the call is over.
func (c *counters) finish(r *runState, start time.Duration) {
	c.calls--
	c.observe(r, start)
}

// sample returns the time if the call that begins is in the sample: the first 64
// are, and then one in mask+1.
func (c *counters) sample(r *runState, mask int) time.Duration {
	if c.begun++; c.begun > 64 && c.begun&mask != 0 {
		return untimed
	}
	return r.loop.Time()
}

// observe adds the time since start to the histogram, which has four buckets an
// octave.
func (c *counters) observe(r *runState, start time.Duration) {
	if start == untimed {
		return
	}
	if c.times == nil {
		c.times = new([64 * 4]uint32)
	}
	c.observed++
	c.times[bucketOf(r.loop.Time()-start)]++
}

func bucketOf(d time.Duration) int {
	if d < 4 {
		return int(max(d, 0))
	}
	octave := bits.Len64(uint64(d)) - 1
	return (octave-1)*4 + int(d>>(octave-2))&3
}

// startOf returns the least time of a bucket.
func startOf(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket)
	}
	octave := bucket/4 + 1
	return time.Duration(4+bucket%4) << (octave - 2)
}

func (c *counters) quantile(q float64) time.Duration {
	if c.observed == 0 {
		return 0
	}
	rank := int(q * float64(c.observed-1))
	for i, k := range c.times {
		if rank -= int(k); rank < 0 {
			return startOf(i)
		}
	}
	return 0
}
