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
	s.kernel.StartTimer(&s.idle.timer, s.kernel.Now().Add(idleTimeout))
}

func (s *Session) sweep() {
	now := s.kernel.Now()
	next, left := s.pool.dropIdle(now.Add(1 - idleTimeout))
	s.idle.running = left
	if left {
		s.kernel.StartTimer(&s.idle.timer, max(next.Add(idleTimeout), now.Add(time.Second)))
	}
}
