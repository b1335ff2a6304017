package rondo

// A store holds the items of a queue, in a circular buffer: a FIFO takes them
// from the front, a LIFO from the back. A heap begins at index 0 and never
// wraps. It is one type, and no interface, for the sake of put and get.
type store[T any] struct {
	buf     []T
	head, n int
	lifo    bool
	cmp     func(a, b T) int // a heap, if it is set
}

func (s *store[T]) push(v T) {
	if s.n == len(s.buf) {
		s.grow()
	}
	if s.cmp != nil {
		s.up(s.n, v)
		s.n++
		return
	}
	i := s.head + s.n
	if i >= len(s.buf) {
		i -= len(s.buf)
	}
	s.buf[i] = v
	s.n++
}

func (s *store[T]) grow() {
	buf := make([]T, max(8, 2*s.n))
	k := copy(buf, s.buf[s.head:])
	copy(buf[k:], s.buf[:s.head])
	s.buf, s.head = buf, 0
}

// pop takes an item out. There must be one.
func (s *store[T]) pop() T {
	var zero T
	i := s.head
	switch {
	case s.cmp != nil:
		return s.popLeast()
	case s.lifo:
		if i += s.n - 1; i >= len(s.buf) {
			i -= len(s.buf)
		}
	default:
		if s.head++; s.head == len(s.buf) {
			s.head = 0
		}
	}
	v := s.buf[i]
	s.buf[i] = zero
	s.n--
	return v
}

// clear drops all items.
func (s *store[T]) clear() {
	clear(s.buf)
	s.head, s.n = 0, 0
}

// up puts v at index i of the heap or above. Like Python's heapq, popLeast first
// brings the hole at the top down to a leaf: what fills it comes from a leaf, and
// mostly belongs there.
func (s *store[T]) up(i int, v T) {
	for i > 0 {
		parent := (i - 1) / 2
		if s.cmp(v, s.buf[parent]) >= 0 {
			break
		}
		s.buf[i] = s.buf[parent]
		i = parent
	}
	s.buf[i] = v
}

func (s *store[T]) popLeast() T {
	var zero T
	least := s.buf[0]
	s.n--
	last := s.buf[s.n]
	s.buf[s.n] = zero
	if s.n == 0 {
		return least
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= s.n {
			break
		}
		if right := child + 1; right < s.n && s.cmp(s.buf[child], s.buf[right]) >= 0 {
			child = right
		}
		s.buf[i] = s.buf[child]
		i = child
	}
	s.up(i, last)
	return least
}
