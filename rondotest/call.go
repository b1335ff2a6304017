package rondotest

import (
	"errors"
	"net/http"
	"net/http/httptest"
)

// A Recorded is what a handler has answered.
type Recorded struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
	// Aborted says that the answer broke off: the handler has panicked with [http.ErrAbortHandler], or failed after its head.
	Aborted bool
	// Flushed says that the handler has flushed a part of the answer.
	Flushed bool
}

// Call has h answer r, made by [httptest.NewRequest] say, without a network. It works for a [rondohttp.HandlerFunc] as for
// any other handler. In a task, h may park. A panic of h is the caller's, but for that of [Recorded].Aborted.
//
// [rondohttp.HandlerFunc]: https://pkg.go.dev/github.com/rondo-go/rondo/rondohttp#HandlerFunc
func Call(h http.Handler, r *http.Request) *Recorded {
	w := httptest.NewRecorder()
	aborted := serve(h, w, r)
	res := w.Result()
	return &Recorded{Status: res.StatusCode, Header: res.Header, Trailer: res.Trailer, Body: w.Body.String(), Aborted: aborted, Flushed: w.Flushed}
}

func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			aborted = true
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	returned = true
	return false
}
