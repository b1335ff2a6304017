package rondohttp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/rondo-go/rondo"
)

// SetJSON makes v, marshaled, the body of req.
func (req *Request) SetJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	req.setHeader("Content-Type", "application/json")
	req.Body = bytes.NewReader(b)
	return nil
}

// SetForm makes v the body of req, as a form of a page is sent.
func (req *Request) SetForm(v url.Values) {
	req.setHeader("Content-Type", "application/x-www-form-urlencoded")
	req.Body = strings.NewReader(v.Encode())
}

// SetMultipart makes m the body of req.
func (req *Request) SetMultipart(m *Multipart) {
	req.setHeader("Content-Type", m.ContentType())
	req.Body = m
}

// SetFile makes the file at path the body of req. It is opened as it is sent, and read off the loop,
// in large pieces, for as many bytes as it has now.
func (req *Request) SetFile(path string) error {
	f, err := newFileBody(path)
	if err != nil {
		return err
	}
	req.Body = f
	return nil
}

// Post is [Session.Do] for a POST of body to url. contentType may be "".
func (s *Session) Post(ctx context.Context, url, contentType string, body io.Reader) (*Response, error) {
	req := &Request{Method: http.MethodPost, URL: url, Body: body}
	if contentType != "" {
		req.setHeader("Content-Type", contentType)
	}
	return s.Do(ctx, req)
}

// PostJSON is [Session.Do] for a POST of v, marshaled, to url.
func (s *Session) PostJSON(ctx context.Context, url string, v any) (*Response, error) {
	req := &Request{Method: http.MethodPost, URL: url}
	if err := req.SetJSON(v); err != nil {
		return nil, newError("post", url, bodyFault(err))
	}
	return s.Do(ctx, req)
}

// PostForm is [Session.Do] for a POST of a form to url.
func (s *Session) PostForm(ctx context.Context, url string, v url.Values) (*Response, error) {
	req := &Request{Method: http.MethodPost, URL: url}
	req.SetForm(v)
	return s.Do(ctx, req)
}

// JSON reads the rest of the body, which is one value of JSON, into v, and closes r.
//
// Errors: those of [Response.Next]; an [*Error] with [KindContent] around that of encoding/json.
func (r *Response) JSON(ctx context.Context, v any) error {
	defer r.Close()
	b, err := r.Bytes(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return newError("read", r.URL, &fault{KindContent, err})
	}
	return nil
}

// A fileBody is a file that is read off the loop.
type fileBody struct {
	path string
	size int64
	f    *os.File
	buf  []byte
	rest []byte // of buf
	err  error
}

const fileBuffer = 256 << 10

func newFileBody(path string) (*fileBody, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &fileBody{path: path, size: info.Size()}, nil
}

// Read parks while the file is read.
func (b *fileBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && b.err == nil {
		l := fileLoad{path: b.path, size: b.size, f: b.f, buf: b.buf}
		// They are the thread's, which a canceled task leaves behind; so it has the only hold of them.
		b.f, b.buf = nil, nil
		l, b.err = rondo.ToThread(context.Background(), l.next)
		b.f, b.buf, b.rest = l.f, l.buf, l.buf[:l.n]
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// A fileLoad is a fileBody's file on its way through a thread.
type fileLoad struct {
	path string
	size int64
	f    *os.File
	buf  []byte
	n    int
}

// next reads the next of the file, which is opened first and closed last.
func (l fileLoad) next() (_ fileLoad, err error) {
	if l.f == nil {
		if l.f, err = os.Open(l.path); err != nil {
			return l, err
		}
	}
	if l.buf == nil {
		l.buf = make([]byte, min(max(l.size, 512), fileBuffer))
	}
	if l.n, err = l.f.Read(l.buf); err != nil {
		l.f.Close()
		l.f = nil
	}
	return l, err
}

// stop closes the file, if it is open.
func (b *fileBody) stop() {
	if b.f != nil {
		b.f.Close()
		b.f = nil
	}
}

// rewind makes the next Read begin at the file's start.
func (b *fileBody) rewind() {
	b.stop()
	b.rest, b.err = nil, nil
}
