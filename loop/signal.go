package loop

// A Signal is the untyped half of a future: it is set once, and then schedules
// every handle that was added, in order. Handles never run directly from Set.
// The zero Signal is unset. It belongs to the loop's thread.
type Signal struct {
	set   bool
	first *Handle    // most signals have one handle, or none
	more  *[]*Handle // holes are nil
}

// IsSet says whether Set has been called.
func (s *Signal) IsSet() bool { return s.set }

// Awaited says whether a handle is registered.
func (s *Signal) Awaited() bool { return s.first != nil || s.more != nil }

// Add registers h, which is scheduled when the signal is set, or at once if it
// is set already.
func (s *Signal) Add(l *Loop, h *Handle) {
	switch {
	case s.set:
		l.push(h)
	case s.more != nil:
		*s.more = append(*s.more, h)
	case s.first == nil:
		s.first = h
	default:
		s.more = &[]*Handle{h}
	}
}

// Remove takes h out, and says whether it was there.
func (s *Signal) Remove(h *Handle) bool {
	if s.first == h {
		s.first = nil
		return true
	}
	if s.more == nil {
		return false
	}
	for i, x := range *s.more {
		if x == h {
			(*s.more)[i] = nil
			if i == len(*s.more)-1 {
				*s.more = (*s.more)[:i]
			}
			return true
		}
	}
	return false
}

// Set sets the signal and schedules its handles on l.
func (s *Signal) Set(l *Loop) {
	s.set = true
	if s.first != nil {
		l.push(s.first)
		s.first = nil
	}
	if s.more == nil {
		return
	}
	for _, h := range *s.more {
		if h != nil {
			l.push(h)
		}
	}
	s.more = nil
}
