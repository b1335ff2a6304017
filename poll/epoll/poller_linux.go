package epoll

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo/internal/sys"
	"github.com/rondo-go/rondo/poll"
)

const (
	// How many events one Wait takes. The rest keep their place for the next.
	maxEvents = 256

	// The size of the buffer that Borrow lends.
	borrowSize = 256 << 10

	// The slot of the descriptor that Wake writes to.
	wakeSlot = -1
)

// What the loop's thread is doing, for Wake.
const (
	running  uint32 = iota // not in a Wait that blocks
	sleeping               // in a Wait that blocks, or about to be
	woken                  // the present or next Wait that blocks does not
)

// Poller is a [poll.Poller] on epoll. Make one with [New].
type Poller struct {
	epfd   int
	slots  []slot
	free   []int32 // slots without a watch
	lent   []byte  // the buffer of Borrow
	vector sys.Vector
	name   sys.Name // of one datagram
	batch  *sys.Batch
	pipes  []*conduit // without a transfer
	events [maxEvents]sys.EpollEvent

	// Wake writes to the eventfd only if it finds the loop's thread sleeping, and
	// by that stops others from doing so: at most one write a sleep.
	state atomic.Uint32

	mu     sync.Mutex // guards the eventfd against being written to once closed
	wakefd int        // -1 once closed
}

// A slot is what an event's data names. The generation tells an event that was
// under way for the slot's earlier watch from one for the present.
type slot struct {
	w   *watch
	gen int32
}

// New makes a poller. It fails when the process is out of descriptors.
func New() (poll.Poller, error) {
	epfd, err := sys.EpollCreate()
	if err != nil {
		return nil, err
	}
	wakefd, err := sys.Eventfd()
	if err == nil {
		err = sys.EpollAdd(epfd, wakefd, sys.EpollIn|sys.EpollEdge, wakeSlot, 0)
		if err == nil {
			return &Poller{epfd: epfd, wakefd: wakefd}, nil
		}
		sys.Close(wakefd)
	}
	sys.Close(epfd)
	return nil, err
}

// Name is "epoll".
func (p *Poller) Name() string { return "epoll" }

// Wait implements [poll.Poller]. A Wait that blocks may return 0 early: an edge is
// also reported to an endpoint on which nobody waits.
func (p *Poller) Wait(d time.Duration) (n int, err error) {
	if p.epfd < 0 {
		return 0, fmt.Errorf("wait epoll: %w", net.ErrClosed)
	}
	var events int
	if d == 0 {
		// Returns at once anyway; a Wake meanwhile is left for the next Wait.
		events, err = sys.EpollWait(p.epfd, p.events[:], 0)
	} else {
		if !p.state.CompareAndSwap(running, sleeping) {
			d = 0
		}
		events, err = sys.EpollWait(p.epfd, p.events[:], d)
		p.state.Swap(running) // a swap, to see what the waker did before
	}
	if err != nil {
		return 0, err
	}
	for i := range p.events[:events] {
		n += p.dispatch(&p.events[i])
	}
	return n, nil
}

// dispatch gives an event to the watch that it is for, if that is still there.
func (p *Poller) dispatch(ev *sys.EpollEvent) (n int) {
	if ev.Fd == wakeSlot {
		return 0
	}
	s := &p.slots[ev.Fd]
	if s.w == nil || s.gen != ev.Pad {
		return 0
	}
	return s.w.edge(ev.Events)
}

// Wake implements [poll.Poller]. It makes a system call only if the loop's thread
// sleeps and nobody else has woken it yet.
func (p *Poller) Wake() {
	if p.state.Swap(woken) != sleeping {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd >= 0 {
		sys.Notify(p.wakefd)
	}
}

// Connect implements [poll.Poller]. What connect(2) says at once, Connected
// reports; an error here means that there was no socket or no such local address.
func (p *Poller) Connect(network string, remote net.Addr, o poll.ConnectOptions) (poll.Endpoint, error) {
	family, sa, err := sys.Sockaddr(network, remote)
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", remote, err)
	}
	fd, err := sys.Socket(family, o.KeepAlive)
	if err != nil {
		return nil, fmt.Errorf("connect %v: %w", remote, err)
	}
	if o.Control != nil {
		name := network
		if family != sys.Unix {
			name = sys.InetNetwork(family)
		}
		if err := o.Control(name, remote.String(), rawSocket(fd)); err != nil {
			sys.Close(fd)
			return nil, fmt.Errorf("connect %v: %w", remote, err)
		}
	}
	if o.Local != nil {
		if err := bind(fd, network, family, o.Local); err != nil {
			sys.Close(fd)
			return nil, fmt.Errorf("connect %v: bind %v: %w", remote, o.Local, err)
		}
	}
	e := &endpoint{watch: watch{p: p, fd: int32(fd)}}
	if family == sys.Unix {
		e.bits |= probing
	}
	if a, ok := remote.(*net.TCPAddr); !ok || len(a.IP) > 0 && !a.IP.IsUnspecified() {
		e.remote = remote
	}
	// Watched only after connect(2): before it, the socket counts as hung up. What
	// is decided by now is reported as the first edge.
	e.connectErr = sys.Connect(fd, sa)
	e.connecting = true
	if err := e.watch.add(); err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("connect %v: %w", remote, err)
	}
	return e, nil
}

func bind(fd int, network string, family int, local net.Addr) error {
	if a, ok := local.(*net.TCPAddr); ok && family != sys.Unix {
		sa, err := sys.InetSockaddr(family, a.AddrPort())
		if err != nil {
			return err
		}
		return sys.Bind(fd, sa)
	}
	_, sa, err := sys.Sockaddr(network, local)
	if err != nil {
		return err
	}
	return sys.Bind(fd, sa)
}

// Close implements [poll.Poller]. A second Close does nothing.
func (p *Poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd < 0 {
		return nil
	}
	for _, c := range p.pipes {
		c.close()
	}
	p.pipes = nil
	err := sys.Close(p.epfd)
	if e := sys.Close(p.wakefd); err == nil {
		err = e
	}
	p.epfd, p.wakefd = -1, -1
	return err
}

func (p *Poller) borrow() []byte {
	if p.lent == nil {
		p.lent = make([]byte, borrowSize)
	}
	return p.lent
}
