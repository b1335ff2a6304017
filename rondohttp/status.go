package rondohttp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// A StatusError is an answer with a status of 400 or more, as an error.
type StatusError struct {
	Method, URL string // the URL without its user and password
	Status      int
	Reason      string
	Body        []byte // its start
}

const (
	statusBody = 4 << 10 // bytes of a body that a StatusError holds
	statusText = 200     // and that it shows
)

func (e *StatusError) Error() string {
	s := op(e.Method) + " " + e.URL + ": " + strconv.Itoa(e.Status)
	if e.Reason != "" {
		s += " " + e.Reason
	}
	if len(e.Body) > 0 {
		s += fmt.Sprintf(": %q", e.Body[:min(len(e.Body), statusText)])
	}
	return s
}

// RaiseForStatus returns nil if the status of r is below 400. Else it closes r and returns a
// [*StatusError], having read the first 4 KB of the body as far as they come; it parks for them. If
// the task is canceled meanwhile, it returns that error.
func (r *Response) RaiseForStatus(ctx context.Context) error {
	if r.Status < 400 {
		return nil
	}
	e := &StatusError{Method: r.Method, URL: redact(r.URL), Status: r.Status, Reason: r.Reason()}
	for len(e.Body) < statusBody {
		p, err := r.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			break // the status says more than that
		}
		e.Body = append(e.Body, p[:min(len(p), statusBody-len(e.Body))]...)
	}
	r.Close()
	return e
}
