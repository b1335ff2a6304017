package rondohttp

import "context"

// A Doer sends a request and returns its answer. A [Session] is one.
type Doer interface {
	Do(ctx context.Context, req *Request) (*Response, error)
}

// A DoerFunc is a function that is a [Doer].
type DoerFunc func(ctx context.Context, req *Request) (*Response, error)

// Do calls f.
func (f DoerFunc) Do(ctx context.Context, req *Request) (*Response, error) { return f(ctx, req) }

// A Middleware puts something of its own in front of a Doer, or after it. What it returns runs in
// the task of the request, and may call next more than once, or not at all. It does not change the request
// that it is given, which is its caller's, but passes a copy on; see [Request.Clone].
type Middleware func(next Doer) Doer

// chain puts ms in front of d, the first outermost.
func chain(d Doer, ms []Middleware) Doer {
	for i := len(ms) - 1; i >= 0; i-- {
		d = ms[i](d)
	}
	return d
}

// Clone returns a copy of req whose header can be changed. The body is the same one.
func (req *Request) Clone() *Request {
	c := *req
	c.Header = req.Header.Clone()
	return &c
}
