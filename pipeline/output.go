package pipeline

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/rondo-go/rondo"
)

// Send sends the items to ch, which it does not close. An item counts as done
// with when it is sent.
func Send[T any](s Stream[T], ch chan<- T) Sink {
	n := stage("channel", s.n)
	return Sink{n: n, run: func(ctx context.Context, r *runState) error {
		return s.run(ctx, r, func(v T, a *ack) error {
			n.c.in++
			err := send(ctx, ch, v)
			a.done(err)
			return err
		})
	}}
}

// send sends to ch, from a goroutine if that is not possible at once.
func send[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case ch <- v:
		return nil
	default:
	}
	stop := make(chan struct{})
	defer close(stop)
	sent := rondo.NewFuture[struct{}]()
	go func() {
		select {
		case ch <- v:
			_ = sent.Set(struct{}{}) // nobody asks any more if it was canceled
		case <-stop:
		}
	}()
	_, err := sent.Await(ctx)
	return err
}

// ToChannel runs s and sends its items to ch, which it does not close. See [Run].
func ToChannel[T any](ctx context.Context, s Stream[T], ch chan<- T) error {
	return Run(ctx, Send(s, ch))
}

// Write writes each item as a line to w: off the loop, unless w is in memory or a
// [rondo.Conn]. What has come during one write is written with the next; so
// nothing waits longer than for that. An item counts as done with when it is
// written.
func Write[T ~string | ~[]byte](s Stream[T], w io.Writer) Sink {
	n := stage("writer", s.n)
	return Sink{n: n, run: func(ctx context.Context, r *runState) error {
		p := newPipe[T](r, &n.c, 1024)
		t := feed(r, s, p)
		defer func() {
			p.leave()
			t.Cancel("")
		}()
		var buf []byte
		var acks []*ack
		for {
			it, ok, err := p.next(ctx)
			if !ok {
				return err
			}
			buf, acks = buf[:0], acks[:0]
			for {
				buf = append(append(buf, it.v...), '\n')
				if it.a != nil {
					acks = append(acks, it.a)
				}
				if p.n == 0 || len(buf) >= chunk {
					break
				}
				it = p.pop()
			}
			err = n.fails(writeAll(ctx, w, buf))
			for _, a := range acks {
				a.done(err)
			}
			if err != nil {
				return err
			}
		}
	}}
}

func writeAll(ctx context.Context, w io.Writer, b []byte) error {
	switch w.(type) {
	case *bytes.Buffer, *strings.Builder, *rondo.Conn:
		_, err := w.Write(b)
		return err
	}
	_, err := rondo.ToThread(ctx, func() (int, error) { return w.Write(b) })
	return err
}

// ToWriter runs s and writes its items to w as lines. See [Write] and [Run].
func ToWriter[T ~string | ~[]byte](ctx context.Context, s Stream[T], w io.Writer) error {
	return Run(ctx, Write(s, w))
}
