package rondohttp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rondo-go/rondo"
)

// Files serves the files of a folder: it is an [http.Handler], and a handler of the server's own kind by its method
// Serve, which [NewServer] uses. It answers GET and HEAD, with validators and
// preconditions (RFC 9110 section 13), ranges, precompressed files, and listings of folders if told to.
//
// A loop is not held by a disk: names are looked up and files opened off the loop, once in a while; what is open and
// looked up is kept for [FileOptions].Fresh. Small files are kept in memory; of others, the system sends the bytes
// itself (sendfile(2)) where the connection is not TLS. A change of a file is seen when Fresh is over.
//
// It is made by [FileServer] or [FileServerFS], and may be used on several loops and off them.
type Files struct {
	fsys  fs.FS
	root  *os.Root // nil if not ours
	o     FileOptions
	cache filesCache
}

// FileOptions say how [Files] serves. The zero value serves files as they are, and index.html for a folder.
type FileOptions struct {
	// Index are the names of which the first that a folder holds is served for it. Nil: index.html.
	Index []string

	// List makes a folder without an index list what is in it: as HTML, or as JSON for those who accept only
	// that. Without it there is nothing for such a folder.
	List bool

	// Hidden serves names that begin with a dot as well. Without it they do not exist, but
	// for .well-known (RFC 8615).
	Hidden bool

	// Plain leaves the siblings x.br, x.zst and x.gz of a file x alone. Without it they are served in its stead to those
	// who accept the coding, unless they are older than x.
	Plain bool

	// Compress compresses files of up to a megabyte, of types for which it pays, for those who accept that. The
	// result is kept as long as the file is.
	Compress bool

	// CacheControl is the value of that field, "" for none.
	CacheControl string

	// Fallback is the name of a file that is served, with status 200, for pages that do not exist, which is
	// what applications that route in the browser need.
	Fallback string

	// Fresh is how long what is known of a file may be used. Zero: a second; negative: not at all.
	Fresh time.Duration

	// Alter, if not nil, is given every HTML file before it is kept, off the loop, and returns what is served
	// in its place.
	Alter func(page []byte) []byte
}

// FileServer serves the files in dir. Symbolic links are followed within it: one that leads out does not exist. Close it
// when it is no longer needed. It reads the disk: call it before the loop runs, or by way of [rondo.ToThread].
func FileServer(dir string, o FileOptions) (*Files, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := FileServerFS(root.FS(), o)
	f.root = root
	return f, nil
}

// FileServerFS serves the files of fsys, which is used off the loop. Those without a time of change, as an
// [embed.FS] has them, are told apart by a digest of what is in them.
func FileServerFS(fsys fs.FS, o FileOptions) *Files {
	if o.Index == nil {
		o.Index = []string{"index.html"}
	}
	if o.Fresh == 0 {
		o.Fresh = time.Second
	}
	return &Files{fsys: fsys, o: o, cache: filesCache{entries: make(map[string]*filesEntry)}}
}

// Close closes the files that are kept open, and the folder.
func (f *Files) Close() error {
	f.cache.clear()
	if f.root != nil {
		return f.root.Close()
	}
	return nil
}

// A filesExchange is a request for a file and the answer to it, of either face.
type filesExchange interface {
	method() string
	get(name string) string         // a field of the request, "" if it is not there
	set(name, value string)         // a field of the answer
	begin(status int, length int64) // the fields are complete
	io.Writer
	sendFile(p *filePart) (bool, error) // all of p, by the system; false: it cannot
}

// Serve is the handler in the server's own face, a [HandlerFunc].
func (f *Files) Serve(ctx context.Context, w *ServerResponse, r *ServerRequest) error {
	return f.serve(ctx, (*nativeExchange)(w), r.Path(), r.RawQuery())
}

// ServeHTTP implements [http.Handler].
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := f.serve(r.Context(), &httpFilesExchange{w, r}, []byte(r.URL.EscapedPath()), []byte(r.URL.RawQuery))
	if err != nil {
		panic(http.ErrAbortHandler) // the head is sent: the client has to see that this is not all
	}
}

// serve answers a request for what is at target, a path with its escapes.
func (f *Files) serve(ctx context.Context, x filesExchange, target, query []byte) error {
	switch x.method() {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		x.set("Allow", "GET, HEAD, OPTIONS")
		x.begin(http.StatusNoContent, -1)
		return nil
	default:
		x.set("Allow", "GET, HEAD, OPTIONS")
		return failFile(x, http.StatusMethodNotAllowed)
	}
	e, err := f.open(ctx, target)
	if errors.Is(err, fs.ErrNotExist) && f.o.Fallback != "" && acceptQuality(x.get("Accept"), "text/html") > 0 {
		e, err = f.open(ctx, []byte("/"+(&url.URL{Path: f.o.Fallback}).EscapedPath()))
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return failFile(x, statusOf(err))
	}
	defer f.cache.release(e)
	switch e.kind {
	case redirectEntry:
		// Relative, so that neither a proxy's prefix nor a double slash leads elsewhere.
		to := "./" + url.PathEscape(path.Base(e.name)) + "/"
		if len(query) > 0 {
			to += "?" + string(query)
		}
		x.set("Location", to)
		return failFile(x, http.StatusMovedPermanently)
	case folderEntry:
		return f.list(ctx, x, e, string(query))
	}
	return f.send(ctx, x, e)
}

// failFile answers without a file.
func failFile(x filesExchange, status int) error {
	text := strconv.Itoa(status) + " " + http.StatusText(status) + "\n"
	x.set("Content-Type", "text/plain; charset=utf-8")
	x.set("X-Content-Type-Options", "nosniff")
	x.begin(status, int64(len(text)))
	if x.method() == http.MethodHead {
		return nil
	}
	_, err := io.WriteString(x, text)
	return err
}

// statusOf returns the status for an error of looking a file up. What is refused for its name, such
// as one that leads out of the folder, does not exist.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errBadPath):
		return http.StatusBadRequest
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return http.StatusServiceUnavailable
	case errors.Is(err, syscall.EIO):
		return http.StatusInternalServerError
	}
	return http.StatusNotFound
}

var errBadPath = errors.New("rondohttp: malformed path")

// fileName returns the name in a file system for the path of a URL, and whether it ends in a slash.
func fileName(target string, hidden bool) (name string, folder bool, err error) {
	p, err := url.PathUnescape(target)
	if err != nil || !strings.HasPrefix(p, "/") || strings.IndexByte(p, 0) >= 0 {
		return "", false, errBadPath
	}
	folder = strings.HasSuffix(p, "/")
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "..":
			return "", false, errBadPath
		case part == "" || part == "." || part[0] != '.' || hidden || part == ".well-known":
		default:
			return "", false, fs.ErrNotExist
		}
	}
	if name = path.Clean(p)[1:]; name == "" {
		name = "."
	}
	if !fs.ValidPath(name) {
		return "", false, fs.ErrNotExist
	}
	return name, folder, nil
}

// offLoop calls fn on a goroutine if it is called on a loop, and else at once.
func offLoop[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	if rondo.RunningLoop() == nil {
		return fn()
	}
	return rondo.ToThread(ctx, fn)
}

// A nativeExchange is a filesExchange of the server's own face.
type nativeExchange ServerResponse

func (x *nativeExchange) response() *ServerResponse { return (*ServerResponse)(x) }

func (x *nativeExchange) method() string { return x.v.req.Method() }

func (x *nativeExchange) get(name string) string { return string(x.v.req.Get(name)) }

func (x *nativeExchange) set(name, value string) { x.response().Add(name, value) }

func (x *nativeExchange) begin(status int, length int64) {
	x.response().SetStatus(status)
	x.length = length
}

// Write implements io.Writer.
func (x *nativeExchange) Write(p []byte) (int, error) { return x.response().Write(p) }

func (x *nativeExchange) sendFile(p *filePart) (bool, error) {
	if _, ok := x.v.conn.(*rondo.Conn); !ok {
		return false, nil
	}
	n, err := x.response().ReadFrom(p)
	if err == nil && n < p.size() {
		err = io.ErrUnexpectedEOF // the file has shrunk
	}
	return true, err
}

// An httpFilesExchange is one of net/http's face.
type httpFilesExchange struct {
	w http.ResponseWriter
	r *http.Request
}

func (x *httpFilesExchange) method() string { return x.r.Method }

func (x *httpFilesExchange) get(name string) string {
	v := x.r.Header[name]
	if len(v) > 1 {
		return strings.Join(v, ", ")
	}
	if len(v) == 1 {
		return v[0]
	}
	return ""
}

func (x *httpFilesExchange) set(name, value string) {
	x.w.Header()[name] = append(x.w.Header()[name], value)
}

func (x *httpFilesExchange) begin(status int, length int64) {
	if length >= 0 {
		x.set("Content-Length", strconv.FormatInt(length, 10))
	}
	x.w.WriteHeader(status)
}

// Write implements io.Writer.
func (x *httpFilesExchange) Write(p []byte) (int, error) { return x.w.Write(p) }

func (x *httpFilesExchange) sendFile(p *filePart) (bool, error) {
	hw, ok := x.w.(*httpWriter)
	if !ok || hw.v == nil || hw.begin(nil) != nil {
		return false, nil
	}
	return (*nativeExchange)(&hw.v.res).sendFile(p)
}
