package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// The paths that --live-reload takes.
const (
	reloadEvents = "/.rondo/reload"
	reloadScript = "/.rondo/reload.js"
)

// The script reloads the page when the state that the server tells is another than the first: also after the server was
// started anew.
const reloadJS = `(() => {
  let state = "";
  new EventSource("/.rondo/reload").onmessage = (e) => {
    if (state && state !== e.data) location.reload();
    state = e.data;
  };
})();
`

// A liveReload tells browsers when a file changes. While any listens, a goroutine looks at the folder
// twice a second: this works on all systems and file systems, and for a site it costs little.
type liveReload struct {
	dir string

	mu       sync.Mutex // guards what follows
	state    uint64
	next     *rondo.Future[struct{}] // done when state has changed, or all is over
	watchers int
	closed   bool
}

const reloadEvery = 500 * time.Millisecond

func newLiveReload(dir string) *liveReload {
	return &liveReload{dir: dir, next: rondo.NewFuture[struct{}]()}
}

// close ends all streams.
func (r *liveReload) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.next.Set(struct{}{})
	}
}

// join counts a listener, and begins to look if it is the first.
func (r *liveReload) join() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchers++; r.watchers == 1 {
		go r.watch()
	}
}

func (r *liveReload) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers--
}

// watch looks while anyone listens.
func (r *liveReload) watch() {
	for {
		now := folderState(r.dir)
		r.mu.Lock()
		if r.watchers == 0 || r.closed {
			r.mu.Unlock()
			return
		}
		if now != r.state {
			r.state = now
			changed := r.next
			r.next = rondo.NewFuture[struct{}]()
			changed.Set(struct{}{})
		}
		r.mu.Unlock()
		time.Sleep(reloadEvery) // not on a loop
	}
}

// current returns the state, 0 if it is not known yet, what is done when there is another, and whether all is over.
func (r *liveReload) current() (state uint64, next *rondo.Future[struct{}], over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.next, r.closed
}

// heartbeat is how often a stream says something: so one whose peer has vanished without a word is noticed.
const heartbeat = 15 * time.Second

// Serve is a [rondohttp.HandlerFunc]: a stream of server-sent events, each of which is the state.
func (r *liveReload) Serve(_ context.Context, w *rondohttp.ServerResponse, req *rondohttp.ServerRequest) error {
	ctx := req.Context()
	r.join()
	defer r.leave()
	w.SetContentType("text/event-stream")
	w.Add("Cache-Control", "no-store")
	told := uint64(0)
	for {
		state, next, over := r.current()
		if over {
			return nil
		}
		text := ":\n\n"
		if state != 0 && state != told {
			told = state
			text = fmt.Sprintf("data: %x\n\n", state)
		}
		if _, err := w.WriteString(text); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		_, err := rondo.WaitFor(ctx, rondo.Shield(next), heartbeat)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// ServeHTTP implements [http.Handler].
func (r *liveReload) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rondohttp.HandlerFunc(r.Serve).ServeHTTP(w, req)
}

// folderState is a digest of the names, sizes and times of the files below dir, never 0. Folders whose names begin with
// a dot, and node_modules, are left out: they are large, and not pages.
func folderState(dir string) uint64 {
	sum := fnv.New64a()
	_ = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it has gone meanwhile, or is not ours to read
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			return nil
		}
		sum.Write([]byte(name))
		var b [17]byte
		binary.LittleEndian.PutUint64(b[1:], uint64(info.Size()))
		binary.LittleEndian.PutUint64(b[9:], uint64(info.ModTime().UnixNano()))
		sum.Write(b[:])
		return nil
	})
	return max(sum.Sum64(), 1)
}

// addReloadScript adds the script to a page, at the end of its body.
func addReloadScript(page []byte) []byte {
	const tag = `<script src="` + reloadScript + `"></script>`
	at := bytes.LastIndex(bytes.ToLower(page), []byte("</body>"))
	if at < 0 {
		at = len(page)
	}
	return append(append(append(make([]byte, 0, len(page)+len(tag)), page[:at]...), tag...), page[at:]...)
}

// A reloadScriptHandler serves the script.
type reloadScriptHandler struct{}

// Serve is a [rondohttp.HandlerFunc].
func (reloadScriptHandler) Serve(_ context.Context, w *rondohttp.ServerResponse, _ *rondohttp.ServerRequest) error {
	w.SetContentType("text/javascript; charset=utf-8")
	_, err := w.WriteString(reloadJS)
	return err
}

// ServeHTTP implements [http.Handler].
func (h reloadScriptHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rondohttp.HandlerFunc(h.Serve).ServeHTTP(w, req)
}
