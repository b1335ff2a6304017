package rondohttp

import (
	"time"

	"github.com/rondo-go/rondo/loop"
)

// An idleTimer closes the connections of a session that have been idle too long. There is
// one timer, not one a connection, and it runs only while connections are idle.
type idleTimer struct {
	timer   loop.Timer
	running bool
}

// watchIdle sees to it that a connection which has become idle does not stay so.
func (s *Session) watchIdle() {
	if s.idle.running {
		return
	}
	s.idle.running = true
	s.idle.timer.Init(loop.Func(s.sweep))
	s.startSweep(idleTimeout)
}

func (s *Session) startSweep(d time.Duration) {
	s.loop.StartTimer(&s.idle.timer, s.loop.Now().Add(d))
}

func (s *Session) sweep() {
	now := time.Now()
	next := s.pool.dropIdle(now.Add(-idleTimeout))
	if next.IsZero() {
		s.idle.running = false
		return
	}
	s.startSweep(max(idleTimeout-now.Sub(next), time.Second))
}
