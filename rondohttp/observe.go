package rondohttp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// An observation is an exchange that is over, or has been handed over. It holds while observer.observed runs.
type observation struct {
	began    time.Time
	took     time.Duration
	method   string
	target   string
	proto    string
	remote   string // address and port
	referer  string
	agent    string
	status   int
	bytes    int64 // of the body sent
	hijacked bool
	failed   bool // the handler failed, panicked or broke off
}

// An observer is told of exchanges, by several loops at once.
type observer interface {
	started()
	observed(o *observation)
	headers() bool // whether it looks at referer and agent
}

var observations = sync.Pool{New: func() any { return new(observation) }}

// observe returns h with someone who watches. It has the face that h has.
func observe(h http.Handler, by observer) http.Handler {
	if native := nativeOf(h); native != nil {
		return HandlerFunc(func(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
			by.started()
			o := observations.Get().(*observation)
			*o = observation{began: time.Now(), failed: true}
			v := w.v
			o.method, o.target, o.proto, o.remote = r.Method(), string(r.Target()), r.Proto(), remoteOf(v)
			if by.headers() {
				o.referer, o.agent = string(r.Get("Referer")), string(r.Get("User-Agent"))
			}
			defer o.end(by, v)
			err := native(ctx, w, r)
			o.failed = err != nil
			return err
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by.started()
		o := observations.Get().(*observation)
		*o = observation{began: time.Now(), failed: true, method: r.Method, target: r.RequestURI, proto: r.Proto, remote: r.RemoteAddr}
		if by.headers() {
			o.referer, o.agent = r.Referer(), r.UserAgent()
		}
		if hw, ok := w.(*httpWriter); ok && hw.v != nil {
			defer o.end(by, hw.v)
			h.ServeHTTP(w, r)
			o.failed = false
			return
		}
		rec := &recorder{ResponseWriter: w}
		defer o.endRecorded(by, rec)
		h.ServeHTTP(rec, r)
		o.failed = false
	})
}

func remoteOf(v *visit) string {
	if v.x == nil {
		return ""
	}
	return v.x.remote()
}

// end tells of an exchange of v's.
func (o *observation) end(by observer, v *visit) {
	res := &v.res
	o.status, o.bytes, o.hijacked = res.status, res.wrote, v.taken
	if !res.committed {
		o.bytes += int64(len(res.body))
		if o.failed && !v.taken {
			o.status, o.bytes = http.StatusInternalServerError, 0
		}
	}
	switch {
	case v.taken:
		o.status = http.StatusSwitchingProtocols // whatever was written on the connection
	case res.bodiless:
		o.bytes = 0
	}
	o.report(by)
}

func (o *observation) endRecorded(by observer, rec *recorder) {
	o.status, o.bytes, o.hijacked = rec.status, rec.bytes, rec.hijacked
	switch {
	case o.status == 0 && o.failed:
		o.status = http.StatusInternalServerError
	case o.status == 0:
		o.status = http.StatusOK
	}
	if o.method == http.MethodHead {
		o.bytes = 0
	}
	o.report(by)
}

func (o *observation) report(by observer) {
	o.took = time.Since(o.began)
	by.observed(o)
	*o = observation{}
	observations.Put(o)
}

// A recorder notes what goes through a [http.ResponseWriter] of another server's.
type recorder struct {
	http.ResponseWriter
	status   int
	bytes    int64
	hijacked bool
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom implements [io.ReaderFrom].
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// Flush implements [http.Flusher].
func (r *recorder) Flush() { http.NewResponseController(r.ResponseWriter).Flush() }

// Hijack implements [http.Hijacker].
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if r.hijacked = err == nil; r.hijacked && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}
