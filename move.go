package rondo

import "github.com/rondo-go/rondo/loop"

// moveTo gives c's connection, which nobody uses yet, to another loop, which makes
// a Conn of its own of it and calls then with that. If it fails, c is as it was; if
// the other loop cannot take it in, it is closed, and then called with nil.
func (c *Conn) moveTo(l *Loop, then func(*Conn)) error {
	c.mu.Lock()
	h, err := c.e.Release()
	if err == nil {
		c.gone = true
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	c.closed.Store(true)
	c.loop.delist(c)
	receive := new(loop.Handle)
	receive.Init(loop.Func(func() {
		e, err := l.k.Poller().Receive(h)
		if err != nil {
			h.Close()
			l.handler(Report{Kind: ReportError, Message: "a connection could not be taken in by another loop", Err: err})
			then(nil)
			return
		}
		then(newConn(l, e))
	}))
	if err := l.k.Post(receive); err != nil {
		h.Close()
		l.handler(Report{Kind: ReportError, Message: "a connection was accepted for a loop that is closed", Err: err})
	}
	return nil
}
