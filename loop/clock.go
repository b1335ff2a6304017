package loop

import "time"

// A Time is a point on a loop's clock: nanoseconds since the loop was made. It
// is monotonic: setting the system's time of day, forward or back, moves neither it
// nor any timer.
type Time int64

// Add returns t + d, at most the end of time.
func (t Time) Add(d time.Duration) Time {
	if u := t + Time(d); d < 0 || u >= t {
		return u
	}
	return 1<<63 - 1
}

// Sub returns t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// grace is how long a loop on the virtual clock waits, in real time, for I/O
// that is in flight before it jumps to the next timer. The kernel delivers on
// the loopback interface in microseconds.
const grace = time.Millisecond

// Now returns the time on the loop's clock.
func (l *Loop) Now() Time {
	if l.virtual {
		return l.now
	}
	return Time(time.Since(l.epoch))
}

// Virtual says whether the loop is on the virtual clock.
func (l *Loop) Virtual() bool { return l.virtual }

// TimeOf returns the wall clock's time of a point on the loop's clock. It may be
// called from any goroutine.
func (l *Loop) TimeOf(t Time) time.Time { return l.epoch.Add(time.Duration(t)) }
