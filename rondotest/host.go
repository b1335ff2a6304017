package rondotest

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/rondo-go/rondo"
)

// A host runs a server: as a task of the loop that the caller is on, or else of a loop on a goroutine of its
// own.
type host struct {
	t     testing.TB
	stop  func() // has serve return
	ended *rondo.Future[error]
}

// errEnded is what ends the waiting for an address.
var errEnded = errors.New("rondotest: the server has ended before it listened")

// start runs serve, until stop, and returns the address that serve is ready at. It stops it with the test.
func (h *host) start(t testing.TB, loops int, serve func(ctx context.Context, ready func(net.Addr)) error, stop func()) net.Addr {
	t.Helper()
	h.t, h.stop, h.ended = t, stop, rondo.NewFuture[error]()
	listens := rondo.NewFuture[net.Addr]()
	work := func(ctx context.Context) error {
		err := serve(ctx, func(a net.Addr) { listens.Set(a) })
		listens.Fail(errors.Join(errEnded, err)) // or it is set already
		return err
	}
	if rondo.RunningLoop() != nil {
		rondo.Spawn(context.Background(), func(ctx context.Context) (struct{}, error) {
			h.ended.Set(work(ctx))
			return struct{}{}, nil
		}, rondo.WithName("rondotest server"))
		atEnd(h.Close)
	} else {
		go func() {
			report := (&run{t: t}).report
			h.ended.Set(rondo.Run(work, rondo.WithoutSignals(), rondo.WithLoops(max(loops, 1)), rondo.WithExceptionHandler(report)))
		}()
		t.Cleanup(h.Close)
	}
	addr, err := listens.Await(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Close ends it at once, and waits until it has ended: its connections are reset, and the tasks that serve them canceled. The end of
// the test does that too.
func (h *host) Close() {
	if h.stop == nil {
		return
	}
	h.stop()
	if rondo.RunningLoop() == nil {
		h.ended.Await(context.Background())
		return
	}
	for !h.ended.Done() {
		if _, err := rondo.Shield(h.ended).Await(context.Background()); errors.Is(err, rondo.ErrNotTask) {
			return
		}
	}
}
