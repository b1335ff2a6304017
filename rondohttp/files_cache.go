package rondohttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a path leads to.
type entryKind uint8

const (
	fileEntry     entryKind = iota
	folderEntry             // to be listed
	redirectEntry           // a folder that was asked for without its slash
)

// A filesEntry is what is known of a path. It is shared by all that serve it at the moment.
type filesEntry struct {
	kind     entryKind
	key      string
	name     string // in the file system
	info     fs.FileInfo
	modified string // as a field, "" if it is not known
	typ      string
	reps     [numCodings]atomic.Pointer[representation] // notCoded is the file itself

	// Guarded by the cache's mutex.
	until time.Time
	refs  int  // of users, and one of the cache
	kept  bool // in the cache
	cost  int64
}

// A representation is the bytes of a file in one coding.
type representation struct {
	info fs.FileInfo // nil: compressed by ourselves
	size int64
	etag string
	data []byte // all of it, or nil
	file fileSource
}

// A fileSource is an open file that can be read anywhere.
type fileSource interface {
	io.ReaderAt
	io.Closer
}

// useless stands for a coding that makes the file no shorter.
var useless = new(representation)

const (
	inMemory     = 32 << 10 // files of that size are kept in memory
	maxOnTheFly  = 1 << 20  // and up to this are compressed on demand
	minOnTheFly  = 512      // from this
	cachedFiles  = 1024
	cachedMemory = 64 << 20
)

// A filesCache holds entries by the paths of URLs. Each entry costs at most a few descriptors.
type filesCache struct {
	mu      sync.Mutex // guards what follows; it is never held while the disk works
	entries map[string]*filesEntry
	memory  int64
}

// get returns what is known of target, and whether the caller is to have a look whether that is still true.
func (c *filesCache) get(target []byte, now time.Time, fresh time.Duration) (e *filesEntry, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e = c.entries[string(target)]; e == nil {
		return nil, false
	}
	e.refs++
	if stale = !now.Before(e.until); stale {
		e.until = now.Add(fresh) // others go on with what there is meanwhile
	}
	return e, stale
}

// put keeps e, in place of what was known.
func (c *filesCache) put(e *filesEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[e.key]; old != nil {
		c.drop(old)
	}
	for _, old := range c.entries { // in no order: what is used comes back
		if len(c.entries) < cachedFiles && c.memory+e.cost <= cachedMemory {
			break
		}
		c.drop(old)
	}
	c.entries[e.key] = e
	c.memory += e.cost
	e.refs++
	e.kept = true
}

// drop takes e out of the cache.
func (c *filesCache) drop(e *filesEntry) {
	if !e.kept {
		return
	}
	e.kept = false
	delete(c.entries, e.key)
	c.memory -= e.cost
	c.unref(e)
}

func (c *filesCache) unref(e *filesEntry) {
	if e.refs--; e.refs == 0 {
		e.close()
	}
}

// release ends the use of e.
func (c *filesCache) release(e *filesEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unref(e)
}

func (c *filesCache) remove(e *filesEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(e)
}

func (c *filesCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		c.drop(e)
	}
}

// grew counts n more bytes of e.
func (c *filesCache) grew(e *filesEntry, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.cost += int64(n)
	if e.kept {
		c.memory += int64(n)
	}
}

func (e *filesEntry) close() {
	for i := range e.reps {
		if r := e.reps[i].Load(); r != nil && r.file != nil {
			r.file.Close()
		}
	}
}

// open returns what is at target, to be released.
func (f *Files) open(ctx context.Context, target []byte) (*filesEntry, error) {
	now := time.Now()
	fresh := max(f.o.Fresh, 0)
	e, stale := f.cache.get(target, now, fresh)
	if e != nil && !stale {
		return e, nil
	}
	old, key := e, string(target)
	// The one who waits may be canceled, and then nobody takes what was opened.
	var made *filesEntry
	var settled atomic.Bool
	e, err := offLoop(ctx, func() (*filesEntry, error) {
		if old != nil {
			if f.unchanged(old) {
				return old, nil
			}
			f.cache.remove(old)
		}
		e, err := f.load(key)
		if err != nil {
			return nil, err
		}
		e.key, e.refs, e.until = key, 1, now.Add(fresh)
		if fresh > 0 {
			f.cache.put(e)
		}
		made = e
		if settled.Swap(true) {
			f.cache.release(e)
			return nil, context.Canceled
		}
		return e, nil
	})
	if old != nil && e != old {
		f.cache.release(old)
	}
	if err != nil {
		if settled.Swap(true) && made != nil {
			f.cache.release(made)
		}
		return nil, err
	}
	return e, nil
}

// unchanged reports whether e is still what load would make.
func (f *Files) unchanged(e *filesEntry) bool {
	if e.kind != fileEntry {
		return false
	}
	for c := range numCodings {
		suffix := codingSuffix[c]
		r := e.reps[c].Load()
		if c != notCoded && (suffix == "" || f.o.Plain) {
			continue
		}
		info, err := fs.Stat(f.fsys, e.name+suffix)
		switch {
		case err != nil && c == notCoded:
			return false
		case err != nil || !info.Mode().IsRegular():
			if r != nil && r.info != nil {
				return false
			}
		case r == nil || r.info == nil:
			if c == notCoded || !info.ModTime().Before(e.info.ModTime()) {
				return false
			}
		case fileVersion(info) != fileVersion(r.info):
			return false
		}
	}
	return true
}

// codingSuffix is what the names of compressed files end in.
var codingSuffix = [numCodings]string{gzipped: ".gz", brotlied: ".br", zstdCoded: ".zst"}

// fileVersion tells one state of a file from another, "" if the system does not say when it changed.
func fileVersion(info fs.FileInfo) string {
	if info.ModTime().IsZero() {
		return ""
	}
	b := make([]byte, 0, 48)
	b = strconv.AppendUint(b, inode(info), 36)
	b = strconv.AppendInt(append(b, '-'), info.ModTime().UnixNano(), 36)
	b = strconv.AppendInt(append(b, '-'), info.Size(), 36)
	return string(b)
}

// load finds out what is at target. It reads the disk.
func (f *Files) load(target string) (*filesEntry, error) {
	name, folder, err := fileName(target, f.o.Hidden)
	if err != nil {
		return nil, err
	}
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if !folder {
			return &filesEntry{kind: redirectEntry, name: name}, nil
		}
		for _, index := range f.o.Index {
			at := path.Join(name, index)
			if info, err := fs.Stat(f.fsys, at); err == nil && info.Mode().IsRegular() {
				return f.loadFile(at, info)
			}
		}
		if !f.o.List {
			return nil, fs.ErrNotExist
		}
		return &filesEntry{kind: folderEntry, name: name}, nil
	}
	// Opening a named pipe waits for its other end, and a device may do anything.
	if folder || !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return f.loadFile(name, info)
}

func (f *Files) loadFile(name string, info fs.FileInfo) (*filesEntry, error) {
	e := &filesEntry{kind: fileEntry, name: name, info: info}
	plain, err := f.loadRepresentation(name)
	if err != nil {
		return nil, err
	}
	e.info = plain.info
	if t := plain.info.ModTime(); !t.IsZero() && t.Unix() > 0 {
		e.modified = t.UTC().Format(http.TimeFormat)
	}
	if e.typ, err = typeOf(name, plain); err != nil {
		plain.close()
		return nil, err
	}
	if f.o.Alter != nil && strings.HasPrefix(e.typ, "text/html") && plain.size <= maxOnTheFly {
		page, err := plain.all()
		if err != nil {
			plain.close()
			return nil, err
		}
		plain.close()
		plain.file, plain.data = nil, f.o.Alter(page)
		plain.size = int64(len(plain.data))
		plain.etag = digestTag(plain.data)
	}
	e.reps[notCoded].Store(plain)
	e.cost = int64(len(plain.data))
	if f.o.Plain || f.o.Alter != nil {
		return e, nil
	}
	for c, suffix := range codingSuffix {
		if suffix == "" {
			continue
		}
		sibling, err := fs.Stat(f.fsys, name+suffix)
		if err != nil || !sibling.Mode().IsRegular() || sibling.ModTime().Before(plain.info.ModTime()) {
			continue
		}
		if r, err := f.loadRepresentation(name + suffix); err == nil {
			e.reps[c].Store(r)
			e.cost += int64(len(r.data))
		}
	}
	return e, nil
}

func (f *Files) loadRepresentation(name string) (*representation, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	r := &representation{info: info, size: info.Size()}
	src, ok := file.(fileSource)
	if version := fileVersion(info); version != "" {
		r.etag = `"` + version + `"`
	}
	if ok && r.size > inMemory && r.etag != "" {
		r.file = src
		return r, nil
	}
	defer file.Close()
	if r.data, err = io.ReadAll(file); err != nil {
		return nil, err
	}
	r.size = int64(len(r.data))
	if r.etag == "" {
		r.etag = digestTag(r.data)
	}
	return r, nil
}

func digestTag(p []byte) string {
	sum := sha256.Sum256(p)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

func (r *representation) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// all returns all bytes.
func (r *representation) all() ([]byte, error) {
	if r.file == nil {
		return r.data, nil
	}
	p := make([]byte, r.size)
	n, err := r.file.ReadAt(p, 0)
	if err == io.EOF {
		err = nil
	}
	return p[:n], err
}

// typeOf returns the Content-Type of a file: by its name, or by what it begins with.
func typeOf(name string, r *representation) (string, error) {
	ext := strings.ToLower(path.Ext(name))
	if t := fileTypes[ext]; t != "" {
		return t, nil
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t, nil
	}
	head := r.data
	if r.file != nil {
		head = make([]byte, 512)
		n, err := r.file.ReadAt(head, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		head = head[:n]
	}
	return http.DetectContentType(head), nil
}

// fileTypes are types that do not depend on what the system has in its tables.
var fileTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".json": "application/json",
	".map": "application/json", ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8",
	".xml": "text/xml; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif",
	".ico": "image/x-icon", ".wasm": "application/wasm", ".pdf": "application/pdf", ".woff": "font/woff", ".woff2": "font/woff2",
	".ttf": "font/ttf", ".otf": "font/otf", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".webm": "video/webm",
	".webmanifest": "application/manifest+json", ".gz": "application/gzip", ".br": "application/octet-stream", ".zst": "application/zstd",
	".zip": "application/zip", ".tar": "application/x-tar", ".go": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8",
	".yaml": "text/plain; charset=utf-8", ".yml": "text/plain; charset=utf-8", ".toml": "text/plain; charset=utf-8",
}

// worthCoding reports whether bodies of a type get shorter by compression.
func worthCoding(typ string) bool {
	if i := strings.IndexByte(typ, ';'); i >= 0 {
		typ = typ[:i]
	}
	typ = strings.TrimRight(typ, " ")
	switch typ {
	case "text/event-stream": // it would be held back
		return false
	case "application/json", "application/javascript", "application/xml", "application/wasm", "application/manifest+json", "application/x-ndjson",
		"application/x-tar", "application/rtf", "image/svg+xml", "image/x-icon", "image/bmp", "font/ttf", "font/otf":
		return true
	}
	return strings.HasPrefix(typ, "text/") || strings.HasSuffix(typ, "+json") || strings.HasSuffix(typ, "+xml")
}
