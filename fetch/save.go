package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Saver keeps bodies as files of one directory. A file appears under its name only when it is whole. Its methods block
// on the disk and belong on goroutines; they are safe for concurrent use.
type Saver struct{ dir string }

// NewSaver returns a Saver into dir, which is created if it is not there.
func NewSaver(dir string) (*Saver, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("save bodies: %w", err)
	}
	return &Saver{dir}, nil
}

// Save writes the body of url and returns the file's path. The body of a URL that is saved twice replaces the first.
func (s *Saver) Save(url string, body []byte) (path string, err error) {
	path = filepath.Join(s.dir, saveName(url))
	f, err := os.CreateTemp(s.dir, ".part-*")
	if err != nil {
		return "", fmt.Errorf("save %s: %w", url, err)
	}
	_, err = f.Write(body)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return "", fmt.Errorf("save %s: %w", url, err)
	}
	return path, nil
}

// saveName is a file name that shows the URL to people, is the same in every run, differs for different URLs and is
// valid on every system: host and path with all but letters, digits, dots and hyphens replaced, a part of the URL's
// SHA-256, and the extension.
func saveName(url string) string {
	const most = 100
	sum := sha256.Sum256([]byte(url))
	_, name, _ := strings.Cut(url, "://")
	name, _, _ = strings.Cut(name, "#")
	name, _, _ = strings.Cut(name, "?")
	if i := strings.LastIndexByte(name[:strings.IndexByte(name+"/", '/')], '@'); i >= 0 {
		name = name[i+1:] // no password in a file name
	}
	ext := ""
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		if dot := strings.LastIndexByte(name[i:], '.'); dot > 0 && len(name)-i-dot <= 10 {
			name, ext = name[:i+dot], name[i+dot:]
		}
	}
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}
	name = strings.Map(clean, name[:min(len(name), most)])
	return strings.Trim(name, "_.-") + "-" + hex.EncodeToString(sum[:8]) + strings.Map(clean, ext)
}
