package file

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// An Entry is a file or a folder that [Walk] has come to.
type Entry struct {
	fs.DirEntry
	// Path is the entry's name, with that of the root before it.
	Path string

	walk *walker
}

// SkipDir keeps Walk out of the folder that this entry is. It is for the body of
// the loop, while it has this entry.
func (e Entry) SkipDir() {
	if e.DirEntry != nil && e.IsDir() {
		e.walk.skip(e.Path)
	}
}

// Walk yields root and all that is below it: a folder before what is in it, names
// in lexical order. Symbolic links are not followed. Folders are read off the
// loop, many small ones in one hop, so they may be read before the entries that
// come first are yielded. What cannot be read is yielded with its error, and the
// walk goes on; a cancellation ends it, with an entry that has no path.
func Walk(ctx context.Context, root string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := &walker{todo: []step{{path: root, root: true}}}
		for len(w.todo) > 0 {
			if err := giveWay(ctx); err != nil {
				yield(Entry{}, err)
				return
			}
			found, err := look(ctx, w.next)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			w.found = found
			for len(w.found) > 0 {
				f := w.found[0]
				w.found = w.found[1:]
				if !yield(Entry{f.entry, f.path, w}, f.err) {
					return
				}
			}
		}
	}
}

// batch is how many entries one hop looks for.
const batch = 1024

// A walker is a walk in progress: what is found and not yielded yet, and what is
// to be looked at, the next last. It is used by one goroutine at a time.
type walker struct {
	found []step
	todo  []step
}

// A step is an entry. What is wrong with it comes after it.
type step struct {
	path  string
	entry fs.DirEntry
	err   error
	root  bool // its entry is still to be asked for
}

// next looks for the next entries, off the loop.
func (w *walker) next() ([]step, error) {
	var found []step
	for len(w.todo) > 0 && len(found) < batch {
		s := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if s.root {
			info, err := os.Lstat(s.path)
			if s.err = err; err == nil {
				s.entry = fs.FileInfoToDirEntry(info)
			}
		}
		found = append(found, s)
		if s.entry == nil || !s.entry.IsDir() {
			continue
		}
		in, err := os.ReadDir(s.path)
		for i := len(in) - 1; i >= 0; i-- {
			w.todo = append(w.todo, step{path: filepath.Join(s.path, in[i].Name()), entry: in[i]})
		}
		if err != nil { // after the folder itself, so that it can be skipped
			found = append(found, step{path: s.path, entry: s.entry, err: err})
		}
	}
	return found, nil
}

// skip takes out what is below dir, in both.
func (w *walker) skip(dir string) {
	below := strings.TrimSuffix(dir, string(filepath.Separator)) + string(filepath.Separator)
	if dir == "." {
		below = "" // filepath.Join has no "./"
	}
	for len(w.found) > 0 && (strings.HasPrefix(w.found[0].path, below) || w.found[0].path == dir) {
		w.found = w.found[1:]
	}
	for n := len(w.todo); n > 0 && strings.HasPrefix(w.todo[n-1].path, below); n-- {
		w.todo = w.todo[:n-1]
	}
}
