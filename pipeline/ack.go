package pipeline

// An ack is one item's way back to its source. It is shared by everything that
// was made of the item: n counts what has not been settled. Who is handed an
// item with its ack owes one call of done, or hands both on. A nil ack is that of
// a source that does not care.
type ack struct {
	n      int
	err    error
	settle func(error)
	parts  []*ack // of which it is made, as a batch is
	set    *ackSet
	prev   *ack
	next   *ack
}

// done settles one part of the item.
func (a *ack) done(err error) {
	if a == nil || a.n == 0 {
		return
	}
	if a.err == nil {
		a.err = err
	}
	if a.n--; a.n > 0 {
		return
	}
	if a.set != nil {
		a.set.remove(a)
		a.settle(a.err)
	}
	for _, x := range a.parts {
		x.done(a.err)
	}
}

// share says that k more parts have been made of the item; k may be -1.
func (a *ack) share(k int) {
	if a != nil {
		a.n += k
	}
}

// join returns the ack of an item that is made of several.
func join(parts ...*ack) *ack {
	a := &ack{n: 1}
	for _, x := range parts {
		if x != nil {
			a.parts = append(a.parts, x)
		}
	}
	if a.parts == nil {
		return nil
	}
	return a
}

// An ackSet holds the acks of a run that are open, so that at its end no item is
// left without an answer.
type ackSet struct{ first *ack }

func (s *ackSet) open(settle func(error)) *ack {
	a := &ack{n: 1, settle: settle, set: s, next: s.first}
	if s.first != nil {
		s.first.prev = a
	}
	s.first = a
	return a
}

func (s *ackSet) remove(a *ack) {
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		s.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
}

// close settles what is open.
func (s *ackSet) close(err error) {
	for a := s.first; a != nil; a = s.first {
		a.n = 1
		a.done(err)
	}
}
