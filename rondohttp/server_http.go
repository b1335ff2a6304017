package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/internal/http1"
)

// An httpExchange is what a handler of net/http's is given for one request. The handler may
// keep any of it, so it is made anew for each, in one piece; what has become of the visit
// behind it is looked at in each call.
type httpExchange struct {
	w    httpWriter
	body httpBody
	ctx  requestContext
	url  url.URL
}

// An httpWriter is a [http.ResponseWriter].
type httpWriter struct {
	x       *httpExchange
	v       *visit // nil when the handler has returned
	header  http.Header
	status  int // 0 before WriteHeader
	sent    bool
	duplex  bool
	trailer []string // announced by a Trailer field
}

// blank is what requests are copies of: it is the way to give one a context without copying it again.
var blank http.Request

// serveHTTP runs a handler of net/http's.
func (v *visit) serveHTTP(ctx context.Context, h http.Handler) (err error) {
	// A handler may hand its writer to goroutines: nothing else is to be in the buffer then.
	if err := v.flush(); err != nil {
		return err
	}
	x := new(httpExchange)
	x.w.v, x.w.x = v, x
	x.ctx.Context, x.ctx.v = ctx, v
	x.body.b = &v.body
	v.body.shared = &x.body
	r, err := x.request()
	if err != nil {
		v.res.status, v.res.keep = http.StatusBadRequest, false
		v.res.add("Content-Type", "text/plain; charset=utf-8")
		v.res.WriteString("Bad Request: invalid request target\n")
		return nil
	}
	v.watched = &x.ctx
	returned := false
	defer func() {
		if !returned {
			err = v.panicked(recover())
			x.end()
		}
	}()
	h.ServeHTTP(&x.w, r)
	returned = true
	if !v.taken {
		x.w.commit(true)
		x.w.addTrailers()
	}
	x.end()
	return nil
}

// end takes the visit away from what the handler may have kept.
func (x *httpExchange) end() {
	v := x.w.v
	x.w.v = nil
	x.ctx.end()
	v.stopWatch()
	if x.body.use.Swap(bodyOver) == bodyRead {
		// Somebody reads the body, off the loop: neither it nor the connection is ours any more.
		v.lost = true
		if v.stream != nil {
			v.stream.lose(http.ErrBodyReadAfterClose)
		}
		return
	}
	v.body.shared, v.watched = nil, nil
}

var errWriterOver = errors.New("rondohttp: the handler has returned")

// Header implements [http.ResponseWriter].
func (w *httpWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *httpWriter) WriteHeader(status int) {
	v := w.v
	switch {
	case v == nil, v.taken:
		return
	case status < 100 || status > 999:
		panic("rondohttp: invalid status " + strconv.Itoa(status) + " of WriteHeader")
	case w.status != 0:
		v.shard.server.log.Warn("rondohttp: superfluous call of WriteHeader", "target", string(v.head.Target()), "status", status)
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		kept := len(v.res.fields)
		w.addFields()
		v.res.Interim(status)
		v.res.fields = v.res.fields[:kept]
		v.res.hasDate, v.res.hasType, v.res.length = false, false, -1
		return
	}
	w.status = status
	v.res.status = status
	w.addFields()
}

// addFields renders the header.
func (w *httpWriter) addFields() {
	res := &w.v.res
	var few [16]string
	names := few[:0]
	for name := range w.header {
		names = append(names, name)
	}
	if len(names) > 1 {
		slices.Sort(names) // the same each time
	}
	for _, name := range names {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		if name == "Trailer" {
			for _, v := range w.header[name] {
				for t := range strings.SplitSeq(v, ",") {
					w.trailer = append(w.trailer, http.CanonicalHeaderKey(strings.TrimSpace(t)))
				}
			}
		}
		if !http1.ValidMethod(name) || slices.Contains(w.trailer, name) {
			continue
		}
		values := w.header[name]
		switch name {
		case "Date":
			res.hasDate = true // also if it is to be left out
		case "Content-Type":
			res.hasType = true
		case "Content-Length":
			if len(values) > 0 {
				if n, err := strconv.ParseUint(values[0], 10, 63); err == nil {
					res.length = int64(n)
				}
			}
			continue
		}
		for _, value := range values {
			if !http1.ValidValue(value) {
				value = cleaned(value)
			}
			res.add(name, value)
		}
	}
}

// cleaned returns value without what cannot stand in a field.
func cleaned(value string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, value))
}

// begin is to be called before p, the next part of the body, is written.
func (w *httpWriter) begin(p []byte) error {
	v := w.v
	switch {
	case v == nil:
		return errWriterOver
	case v.taken:
		return http.ErrHijacked
	case w.sent:
		return nil
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.sent = true
	res := &v.res
	if len(p) > 0 && !res.hasType && bodyAllowed(res.status) && len(w.header["Content-Encoding"]) == 0 && len(w.header["Transfer-Encoding"]) == 0 {
		res.add("Content-Type", http.DetectContentType(p))
	}
	return nil
}

// commit is begin for an answer that has no more body, if whole, or is to be sent now.
func (w *httpWriter) commit(whole bool) error {
	if err := w.begin(nil); err != nil {
		return err
	}
	if whole {
		return nil
	}
	return w.v.res.Flush()
}

// addTrailers renders the trailers.
func (w *httpWriter) addTrailers() {
	res := &w.v.res
	add := func(name string, values []string) {
		for _, v := range values {
			if http1.ValidMethod(name) {
				res.AddTrailer(name, cleaned(v))
			}
		}
	}
	for _, name := range w.trailer {
		add(name, w.header[name])
	}
	for name, values := range w.header {
		if t, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(t, values)
		}
	}
}

// Write implements [http.ResponseWriter].
func (w *httpWriter) Write(p []byte) (int, error) {
	if err := w.begin(p); err != nil {
		return 0, err
	}
	return write(&w.v.res, p)
}

// WriteString implements [io.StringWriter].
func (w *httpWriter) WriteString(s string) (int, error) {
	if !w.sent {
		if err := w.begin([]byte(s[:min(len(s), 512)])); err != nil {
			return 0, err
		}
	}
	if w.v == nil {
		return 0, errWriterOver
	}
	return write(&w.v.res, s)
}

// ReadFrom implements [io.ReaderFrom].
func (w *httpWriter) ReadFrom(r io.Reader) (int64, error) {
	if _, typed := w.header["Content-Type"]; !w.sent && !typed {
		// The first bytes tell the type.
		head := make([]byte, 512)
		n, err := io.ReadFull(r, head)
		k, werr := w.Write(head[:n])
		switch {
		case werr != nil:
			return int64(k), werr
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return int64(n), nil
		case err != nil:
			return int64(n), err
		}
		m, err := w.ReadFrom(r)
		return int64(n) + m, err
	}
	if err := w.begin(nil); err != nil {
		return 0, err
	}
	return w.v.res.ReadFrom(r)
}

// Flush implements [http.Flusher].
func (w *httpWriter) Flush() { w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *httpWriter) FlushError() error { return w.commit(false) }

// Hijack implements [http.Hijacker].
func (w *httpWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	v := w.v
	switch {
	case v == nil:
		return nil, nil, errWriterOver
	case v.taken:
		return nil, nil, http.ErrHijacked
	}
	c, read, err := v.hijack()
	if err != nil {
		return nil, nil, err
	}
	br := bufio.NewReaderSize(c, max(4096, len(read)))
	if len(read) > 0 {
		br.Reset(io.MultiReader(bytes.NewReader(read), c))
		br.Peek(len(read))
	}
	return c, bufio.NewReadWriter(br, bufio.NewWriter(c)), nil
}

// SetReadDeadline is for [http.ResponseController]. It takes the place of the server's own limit on the body.
func (w *httpWriter) SetReadDeadline(t time.Time) error {
	if w.v == nil {
		return errWriterOver
	}
	if s := w.v.stream; s != nil {
		return s.setReadDeadline(t)
	}
	w.v.body.own.Store(true)
	return w.v.conn.SetReadDeadline(t)
}

// SetWriteDeadline is for [http.ResponseController].
func (w *httpWriter) SetWriteDeadline(t time.Time) error {
	if w.v == nil {
		return errWriterOver
	}
	if s := w.v.stream; s != nil {
		return s.setWriteDeadline(t)
	}
	w.v.ownWrite.Store(true)
	return w.v.conn.SetWriteDeadline(t)
}

// EnableFullDuplex is for [http.ResponseController]: reading and writing at the same time is always possible here.
func (w *httpWriter) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// ServeHTTP implements [http.Handler].
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if hw, ok := w.(*httpWriter); ok && hw.v != nil && !hw.sent && hw.status == 0 {
		v := hw.v
		hw.addFields()
		hw.status, hw.sent = v.res.status, true
		v.body.shared = nil // f reads and writes in turn
		if err := f(r.Context(), &v.res, &v.req); err != nil {
			v.res.fault(err)
		}
		return
	}
	serveForeign(f, w, r)
}

// OffLoop returns a handler that calls h on a goroutine, while the task of the connection waits: for handlers that
// block a thread, such as one that uses net/http's client, database/sql or a mutex that is held for long. Under another
// server than a [Server] it is h.
func OffLoop(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rondo.RunningLoop() == nil {
			h.ServeHTTP(w, r)
			return
		}
		ended := rondo.NewFuture[any]()
		go func() {
			defer func() { ended.Set(recover()) }()
			h.ServeHTTP(w, r)
		}()
		// However often this task is canceled: h has w and r. It knows of the end by the context.
		for !ended.Done() {
			rondo.Shield(ended).Await(context.Background())
		}
		if p, _ := ended.Result(); p != nil {
			panic(p)
		}
	})
}
