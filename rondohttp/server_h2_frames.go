package rondohttp

import (
	"slices"

	"github.com/rondo-go/rondo/internal/http2core"
	"golang.org/x/net/http2"
)

// take does what a frame says; nil is the DATA frame that the reader tells of.
func (c *serverH2) take(f http2.Frame) error {
	if !c.w.Peer().Received {
		if s, ok := f.(*http2.SettingsFrame); !ok || s.IsAck() {
			return &connError{http2.ErrCodeProtocol, "no SETTINGS first"}
		}
	}
	switch f := f.(type) {
	case nil:
		return c.takeData(&c.rd.Data)
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(f)
	case *http2.WindowUpdateFrame:
		return c.takeWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.takeReset(f)
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			if f.Data == leavePing {
				c.leaveNow() // the client knows: what comes now it has sent before
			}
		} else {
			c.w.Ping(true, f.Data)
		}
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return &streamError{f.StreamID, http2.ErrCodeProtocol, "a stream depends on itself"}
		}
	case *http2.GoAwayFrame:
		c.peerGone = true
	case *http2.PushPromiseFrame:
		return &connError{http2.ErrCodeProtocol, "PUSH_PROMISE of a client"}
	}
	return c.useless()
}

func (c *serverH2) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if c.askedAt != 0 && c.in.RTT == 0 {
			c.in.RTT = max(c.shard.kernel.Now()-c.askedAt, 1)
			c.askedAt = 0
		}
		return c.useless()
	}
	delta, err := c.w.Apply(f)
	if err != nil {
		return err
	}
	for _, s := range c.streams {
		if err := s.send.Adjust(delta); err != nil {
			return err
		}
	}
	return c.useless()
}

func (c *serverH2) takeWindowUpdate(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		return c.w.AddWindow(f.Increment)
	}
	s := c.streams[f.StreamID]
	if s == nil {
		if c.idle(f.StreamID) {
			return &connError{http2.ErrCodeProtocol, "WINDOW_UPDATE of an idle stream"}
		}
		return nil
	}
	if s.send.AddWindow(f.Increment) != nil {
		return &streamError{f.StreamID, http2.ErrCodeFlowControl, "window too large"}
	}
	return nil
}

// idle reports whether a stream was never open.
func (c *serverH2) idle(id uint32) bool { return id > c.seen || id&1 == 0 }

func (c *serverH2) takeReset(f *http2.RSTStreamFrame) error {
	s := c.streams[f.StreamID]
	if s == nil {
		if c.idle(f.StreamID) {
			return &connError{http2.ErrCodeProtocol, "RST_STREAM of an idle stream"}
		}
		return nil
	}
	s.close(&resetError{f.ErrCode})
	return c.wasted()
}

func (c *serverH2) takeData(d *http2core.Data) error {
	if err := c.in.Take(d.Length); err != nil {
		return err
	}
	s := c.streams[d.StreamID]
	switch {
	case s == nil && c.idle(d.StreamID):
		return &connError{http2.ErrCodeProtocol, "DATA of an idle stream"}
	case s == nil || s.remoteClosed:
		c.in.Give(d.Length)
		if slices.Contains(c.gone, d.StreamID) {
			return nil
		}
		return &streamError{d.StreamID, http2.ErrCodeStreamClosed, "DATA of a closed stream"}
	}
	if len(d.Payload) == 0 && !d.End {
		if err := c.useless(); err != nil {
			return err
		}
	}
	if err := s.takeData(d); err != nil {
		return err
	}
	return nil
}

func (c *serverH2) takeHeaders(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if s := c.streams[id]; s != nil {
		return s.takeTrailers(f)
	}
	switch {
	case id&1 == 0:
		return &connError{http2.ErrCodeProtocol, "a client's stream of an even number"}
	case id <= c.seen:
		if slices.Contains(c.gone, id) {
			return nil
		}
		return &connError{http2.ErrCodeStreamClosed, "HEADERS of a closed stream"}
	}
	c.seen = id
	if c.leaving == left {
		c.remember(id)
		return c.useless() // the client has been told that it is not served
	}
	c.last = id
	if f.HasPriority() && f.Priority.StreamDep == id {
		return &streamError{id, http2.ErrCodeProtocol, "a stream depends on itself"}
	}
	// Handlers of streams that were reset are at work too.
	if most := c.shard.server.limits.Streams; len(c.streams) >= most || len(c.served) >= 2*most {
		return &streamError{id, http2.ErrCodeRefusedStream, "too many streams"}
	}
	s := newServerStream(c, f)
	if err := s.compose(f); err != nil {
		s.drop()
		return err
	}
	s.start()
	return nil
}
