package rondohttp

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// An upload is the body of a request on its way.
type upload struct {
	r      io.Reader
	pieces iter.Seq2[[]byte, error] // instead of r
	length int64                    // -1: in chunks
	again  func() (io.Reader, error)
	used   bool // some of r has been read
}

// newUpload looks at the body of r, nil if there is none.
func newUpload(r *Request) *upload {
	if r.Pieces != nil {
		u := &upload{pieces: r.Pieces, length: r.ContentLength}
		if u.length <= 0 {
			u.length = -1
		}
		return u
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	u := &upload{r: r.Body, length: r.ContentLength, again: r.GetBody}
	switch b := r.Body.(type) {
	case *bytes.Buffer:
		u.length = int64(b.Len())
	case *bytes.Reader:
		u.length, u.again = int64(b.Len()), rewind(b, b.Size()-int64(b.Len()))
	case *strings.Reader:
		u.length, u.again = int64(b.Len()), rewind(b, b.Size()-int64(b.Len()))
	case *fileBody:
		u.length, u.again = b.size, func() (io.Reader, error) { b.rewind(); return b, nil }
	case *Multipart:
		u.length, u.again = b.Len(), b.again()
	default:
		if u.length <= 0 {
			u.length = -1
		}
	}
	return u
}

func rewind(r io.ReadSeeker, start int64) func() (io.Reader, error) {
	return func() (io.Reader, error) {
		_, err := r.Seek(start, io.SeekStart)
		return r, err
	}
}

// restart makes u ready to be sent again; it reports whether it can be.
func (u *upload) restart() (bool, error) {
	if u == nil || !u.used {
		return true, nil
	}
	if u.again == nil {
		return false, nil
	}
	r, err := u.again()
	if err != nil {
		return false, &fault{KindBody, err}
	}
	u.r, u.used = r, false
	return true, nil
}

// read reads a piece of the body, of which left bytes are to come, -1 if nobody knows. It
// returns io.EOF with the last of them.
func (u *upload) read(p []byte, left int64) (n int, err error) {
	if left == 0 {
		return 0, io.EOF
	}
	if left > 0 && int64(len(p)) > left {
		p = p[:left]
	}
	n, err = u.r.Read(p)
	switch {
	case left < 0:
	case int64(n) == left && (err == nil || err == io.EOF):
		err = io.EOF
	case err == io.EOF:
		err = fmt.Errorf("it ended %d bytes short of its length: %w", left-int64(n), io.ErrUnexpectedEOF)
	}
	return n, err
}

// line returns the field that frames the body.
func (u *upload) line(method string) string {
	switch {
	case u == nil && (method == "POST" || method == "PUT" || method == "PATCH"):
		return "Content-Length: 0\r\n"
	case u == nil:
		return ""
	case u.length < 0:
		return "Transfer-Encoding: chunked\r\n"
	}
	return "Content-Length: " + strconv.FormatInt(u.length, 10) + "\r\n"
}

// stop closes what the body has opened itself.
func (u *upload) stop() {
	if b, ok := u.r.(interface{ stop() }); ok {
		b.stop()
	}
}
