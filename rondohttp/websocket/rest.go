package websocket

import (
	"context"
	"errors"
	"fmt"
)

// A handler is the callbacks of a connection.
type handler struct {
	message func(ctx context.Context, c *Conn, m Message) error
	rests   bool // it rests between messages, by its server
	atRest  bool
	started bool
}

// OnMessage leaves the connection to callbacks: message is called, in a task, with each message that comes, one after the
// other, and may park. It is for a server's handler, which returns thereafter, and does not close c:
//
//	c, err := websocket.Accept(w, r, nil)
//	if err != nil {
//		return
//	}
//	c.OnMessage(func(ctx context.Context, c *websocket.Conn, m websocket.Message) error {
//		return c.Write(ctx, m.Type, m.Data)
//	}, nil)
//
// While its peer is silent, a connection of a [rondohttp.Server] rests: it holds no task, no stack and no buffer. Any other
// is read by a task, or a goroutine, of its own.
//
// The data of a message holds until the callback returns. An error from it closes the connection: with its code and reason if
// it is a [*CloseError], else with StatusInternalError. Closed, if not nil, is called in the end with why there will
// be no more messages, in no task, perhaps: it must not park.
func (c *Conn) OnMessage(message func(ctx context.Context, c *Conn, m Message) error, closed func(c *Conn, err error)) {
	c.home = nil // it would be held for as long as c
	c.handler = &handler{message: message}
	if closed != nil {
		c.atEnd(func(err error) { closed(c, err) })
	}
	if r, ok := c.conn.(interface {
		Rest(func(ctx context.Context) (rest bool, err error)) bool
	}); ok && c.loop != nil && r.Rest(c.wake) {
		c.handler.rests = true
		return
	}
	c.spawn(func(ctx context.Context) {
		for c.next(ctx) == nil {
		}
	})
}

// next has the next message dealt with. Any error but errToRest is for good.
func (c *Conn) next(ctx context.Context) error {
	if err := c.rd.acquire(ctx); err != nil {
		c.lose(err)
		return err
	}
	c.resume = c.handler.rests
	m, err := c.whole(ctx, true)
	c.resume = false
	c.rd.release()
	switch {
	case err == errToRest:
		return err
	case err != nil:
		c.lose(err)
		return err
	}
	if err := c.call(ctx, m); err != nil {
		var e *CloseError
		if errors.As(err, &e) && !e.Local {
			c.Close(ctx, e.Code, e.Reason)
		} else {
			c.Close(ctx, StatusInternalError, "")
		}
		c.lose(err)
		return err
	}
	return nil
}

// call calls the callback.
func (c *Conn) call(ctx context.Context, m Message) (err error) {
	returned := false
	defer func() {
		if !returned {
			if p := recover(); p != nil {
				err = fmt.Errorf("websocket: callback panicked: %v", p)
			}
		}
	}()
	err = c.handler.message(ctx, c, m)
	returned = true
	return err
}

// wake serves a connection at rest for which bytes have arrived, and before it rests for the first time.
func (c *Conn) wake(ctx context.Context) (rest bool, err error) {
	c.handler.atRest, c.filled = false, !c.handler.started // nothing has arrived yet at the first time
	c.handler.started = true
	c.listen(false)
	for {
		err := c.next(ctx)
		if err == nil {
			continue
		}
		if err != errToRest {
			return false, nil
		}
		if ctx.Err() != nil {
			c.lose(context.Cause(ctx)) // the server is aborted: there is no next time
			return false, nil
		}
		c.shrink()
		c.handler.atRest = true
		c.listen(true)
		return true, nil
	}
}

// shrink makes the buffer of a connection at rest no larger than what is in it: a part of a frame.
func (c *Conn) shrink() {
	c.drop()
	if c.buf == nil || len(*c.buf) == len(c.in) {
		return
	}
	b := append([]byte(nil), c.in...)
	putBuffer(c.buf)
	c.buf, c.in = &b, b
}
