package rondohttp

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net"
	"net/url"

	"github.com/rondo-go/rondo/internal/http1"
)

// A ServerRequest is a request as a [HandlerFunc] sees it: a view of the bytes that came. What it returns
// as []byte must not be changed, and is valid, like the ServerRequest itself, until
// the handler returns.
type ServerRequest struct {
	v *visit
}

// methods are those that Method returns without making a string.
var methods = [...]string{"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"}

// Method returns the method.
func (r *ServerRequest) Method() string { return methodString(r.v.head.Method()) }

func methodString(m []byte) string {
	for _, s := range methods {
		if string(m) == s {
			return s
		}
	}
	return string(m)
}

// Target returns the request's target as it came: mostly /path?query.
func (r *ServerRequest) Target() []byte { return r.v.head.Target() }

// Path returns the path of the target as it came, in which percent signs stand for themselves or for an
// escape; see [url.PathUnescape].
func (r *ServerRequest) Path() []byte {
	path, _ := r.split()
	return path
}

// RawQuery returns what follows the question mark in the target.
func (r *ServerRequest) RawQuery() []byte {
	_, query := r.split()
	return query
}

func (r *ServerRequest) split() (path, query []byte) {
	t := r.v.head.Target()
	switch r.v.head.Form {
	case http1.AsteriskForm:
		return t, nil
	case http1.AuthorityForm:
		return nil, nil
	case http1.AbsoluteForm:
		t = t[bytes.Index(t, []byte("://"))+3:]
		i := bytes.IndexAny(t, "/?")
		if i < 0 {
			return []byte("/"), nil
		}
		t = t[i:]
	}
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		return t[:i], t[i+1:]
	}
	return t, nil
}

// URL parses the target. It allocates.
func (r *ServerRequest) URL() (*url.URL, error) {
	u := new(url.URL)
	return u, parseTarget(u, string(r.v.head.Target()), r.v.head.Form)
}

// Host returns the host asked for, with the port if there is one.
func (r *ServerRequest) Host() []byte { return r.v.head.Host() }

// Proto returns the version of the request: HTTP/1.0, HTTP/1.1 or HTTP/2.0.
func (r *ServerRequest) Proto() string {
	if r.v.stream != nil {
		return protoH2
	}
	return protoString(r.v.head.Minor)
}

const protoH2 = "HTTP/2.0"

func protoString(minor int) string {
	if minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// Get returns the value of the first field of that name, whatever its case, and nil if there is none.
func (r *ServerRequest) Get(name string) []byte { return r.v.head.Get(name) }

// Fields ranges over the names and values of the fields in the order they came.
func (r *ServerRequest) Fields() iter.Seq2[[]byte, []byte] { return r.v.head.Each() }

// ContentLength returns the length of the body, 0 if there is none, -1 if it is not known.
func (r *ServerRequest) ContentLength() int64 { return r.v.body.frame.Len() }

// Read implements io.Reader: it reads the body. It parks while nothing of it is here.
//
// Errors: io.EOF at the end; [ErrBodyTooLarge]; one that wraps [io.ErrUnexpectedEOF] if the client left in the
// middle; one that wraps [os.ErrDeadlineExceeded] if it sends too slowly; those of a [rondo.Conn].
func (r *ServerRequest) Read(p []byte) (int, error) { return r.v.body.read(p) }

// Next returns the next piece of the body, which holds until the next call, and io.EOF at the end.
// It is Read without a buffer.
func (r *ServerRequest) Next() ([]byte, error) { return r.v.body.next(inBuffer) }

// Bytes reads the body to its end, of at most most bytes: beyond that it returns [ErrBodyTooLarge].
func (r *ServerRequest) Bytes(most int) ([]byte, error) {
	var all []byte
	if n := r.ContentLength(); n > int64(most) {
		return nil, ErrBodyTooLarge
	} else if n > 0 {
		all = make([]byte, 0, n)
	}
	for {
		p, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(all)+len(p) > most {
			return nil, ErrBodyTooLarge
		}
		all = append(all, p...)
	}
}

// Trailers ranges over the fields that followed a chunked body, once that has been read to its end.
func (r *ServerRequest) Trailers() iter.Seq2[[]byte, []byte] {
	return http1.Fields(r.v.body.trailers())
}

// Context returns a context that is done, beyond what the handler's own is, when the client leaves. The server begins
// to look for that when somebody first asks for its Done, or parks under it. It allocates.
func (r *ServerRequest) Context() context.Context {
	v := r.v
	if v.foreign {
		return v.ctx
	}
	if v.watched == nil {
		v.watched = &requestContext{Context: v.ctx, v: v}
	}
	return v.watched
}

// RemoteAddr and LocalAddr return the addresses of the connection.
func (r *ServerRequest) RemoteAddr() net.Addr { return r.v.conn.RemoteAddr() }

// LocalAddr is described at RemoteAddr.
func (r *ServerRequest) LocalAddr() net.Addr { return r.v.conn.LocalAddr() }

// Conn returns the connection, to look at: it stays the server's. Of https it has a method ConnectionState.
func (r *ServerRequest) Conn() net.Conn { return r.v.conn }

// serveNative runs the server's own kind of handler.
func (v *visit) serveNative(ctx context.Context, f HandlerFunc) (err error) {
	v.ctx = ctx
	returned := false
	defer func() {
		if !returned {
			err = v.panicked(recover())
			v.endContext()
		}
	}()
	err = f(ctx, &v.res, &v.req)
	returned = true
	if v.watched != nil {
		v.endContext()
	}
	if err != nil {
		err = v.report(err)
	}
	return err
}

// endContext ends the context that the handler has asked for, if it has.
func (v *visit) endContext() {
	if c := v.watched; c != nil {
		c.end()
		v.stopWatch()
		v.watched = nil
	}
}
