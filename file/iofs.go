package file

import (
	"context"
	"io/fs"
	"os"
)

// DirFS is os.DirFS for the loop: see [FS].
func DirFS(dir string) fs.FS { return FS(os.DirFS(dir)) }

// FS returns fsys such that whatever is done with it and its files is done off the
// loop, with the task parked: templates, http.FS and fs.WalkDir then don't hold
// the loop. Off the loop it is fsys itself. Package io/fs knows no contexts: the
// task's own cancellation ends what looks, as with this package's functions.
func FS(fsys fs.FS) fs.FS { return parkingFS{fsys} }

type parkingFS struct{ fsys fs.FS }

func (p parkingFS) Open(name string) (fs.File, error) {
	f, err := change(context.Background(), func() (fs.File, error) { return p.fsys.Open(name) })
	if err != nil {
		return nil, err
	}
	return parkingFile{f}, nil
}

func (p parkingFS) ReadFile(name string) ([]byte, error) {
	return look(context.Background(), func() ([]byte, error) { return fs.ReadFile(p.fsys, name) })
}

func (p parkingFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return look(context.Background(), func() ([]fs.DirEntry, error) { return fs.ReadDir(p.fsys, name) })
}

func (p parkingFS) Stat(name string) (fs.FileInfo, error) {
	return look(context.Background(), func() (fs.FileInfo, error) { return fs.Stat(p.fsys, name) })
}

func (p parkingFS) Glob(pattern string) ([]string, error) {
	return look(context.Background(), func() ([]string, error) { return fs.Glob(p.fsys, pattern) })
}

func (p parkingFS) Sub(dir string) (fs.FS, error) {
	sub, err := fs.Sub(p.fsys, dir)
	if err != nil {
		return nil, err
	}
	return parkingFS{sub}, nil
}

// A parkingFile seeks if what it is made of does.
type parkingFile struct{ f fs.File }

func (p parkingFile) Read(b []byte) (int, error) {
	return change(context.Background(), func() (int, error) { return p.f.Read(b) })
}

func (p parkingFile) Stat() (fs.FileInfo, error) {
	return change(context.Background(), p.f.Stat)
}

func (p parkingFile) Close() error { return changed(context.Background(), p.f.Close) }

func (p parkingFile) ReadDir(n int) ([]fs.DirEntry, error) {
	d, ok := p.f.(fs.ReadDirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: p.name(), Err: fs.ErrInvalid}
	}
	return change(context.Background(), func() ([]fs.DirEntry, error) { return d.ReadDir(n) })
}

func (p parkingFile) Seek(offset int64, whence int) (int64, error) {
	s, ok := p.f.(interface {
		Seek(offset int64, whence int) (int64, error)
	})
	if !ok {
		return 0, &fs.PathError{Op: "seek", Path: p.name(), Err: fs.ErrInvalid}
	}
	return change(context.Background(), func() (int64, error) { return s.Seek(offset, whence) })
}

func (p parkingFile) name() string {
	if info, err := p.Stat(); err == nil {
		return info.Name()
	}
	return "file"
}
