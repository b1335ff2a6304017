package file_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/file"
)

func TestNamesDoWhatOSDoes(t *testing.T) {
	both(t, func(t *testing.T, ctx context.Context) {
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		then := time.Unix(1_000_000_000, 0)
		err := errors.Join(
			file.MkdirAll(ctx, in("a/b"), 0o755),
			file.Mkdir(ctx, in("c"), 0o755),
			file.WriteFile(ctx, in("a/x"), []byte("hello"), 0o600),
			file.Symlink(ctx, "x", in("a/link")),
			file.Rename(ctx, in("a/x"), in("a/y")),
			file.Chmod(ctx, in("a/y"), 0o640),
			file.Chtimes(ctx, in("a/y"), then, then),
			file.Remove(ctx, in("c")),
		)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat(ctx, in("a/y"))
		if err != nil || info.Size() != 5 || info.Mode().Perm() != 0o640 || !info.ModTime().Equal(then) {
			t.Errorf("Stat: %v, %v", info, err)
		}
		if info, err = file.Lstat(ctx, in("a/link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("Lstat: %v, %v", info, err)
		}
		if to, err := file.Readlink(ctx, in("a/link")); to != "x" || err != nil {
			t.Errorf("Readlink: %s, %v", to, err)
		}
		if got, err := file.Glob(ctx, in("a/*")); err != nil || !slices.Equal(got, []string{in("a/b"), in("a/link"), in("a/y")}) {
			t.Errorf("Glob: %v, %v", got, err)
		}
		if got, err := file.ReadDir(ctx, in("a")); err != nil || len(got) != 3 || got[2].Name() != "y" {
			t.Errorf("ReadDir: %v, %v", got, err)
		}
		if err := file.RemoveAll(ctx, in("a")); err != nil {
			t.Error(err)
		}
		if _, err := file.Stat(ctx, in("a")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after RemoveAll: %v", err)
		}
	})
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteFileAtomicReplacesOrLeavesAlone(t *testing.T) {
	both(t, func(t *testing.T, ctx context.Context) {
		dir := t.TempDir()
		name := filepath.Join(dir, "x")
		for _, text := range []string{"one", "two"} {
			if err := file.WriteFileAtomic(ctx, name, []byte(text), 0o604); err != nil {
				t.Fatal(err)
			}
			got, err := file.ReadFile(ctx, name)
			info, _ := os.Stat(name)
			if string(got) != text || err != nil || info.Mode().Perm() != 0o604 {
				t.Errorf("%q, %v, %v", got, err, info.Mode())
			}
		}
		folder := filepath.Join(dir, "folder", "full")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := file.WriteFileAtomic(ctx, filepath.Dir(folder), nil, 0o600); err == nil {
			t.Error("a folder was replaced")
		}
		err := file.WriteFileAtomic(ctx, filepath.Join(dir, "no", "x"), nil, 0o600)
		if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(strings.Split(err.Error(), ": ")[0], filepath.Join("no", "x")) {
			t.Errorf("error %v does not name the file", err)
		}
		if got := list(t, dir); !slices.Equal(got, []string{"folder", "x"}) {
			t.Errorf("left behind: %v", got)
		}
	})
}

func TestCopyCopiesWhole(t *testing.T) {
	data := random(40 << 20)
	from := write(t, data)
	if err := os.Chmod(from, 0o640); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, ctx context.Context) {
		dir := t.TempDir()
		to := filepath.Join(dir, "copy")
		if n, err := file.Copy(ctx, to, from); n != int64(len(data)) || err != nil {
			t.Errorf("Copy: %d, %v", n, err)
		}
		got, err := os.ReadFile(to)
		info, _ := os.Stat(to)
		if err != nil || string(got) != string(data) || info.Mode().Perm() != 0o640 {
			t.Errorf("the copy has %d bytes, mode %v, %v", len(got), info.Mode(), err)
		}
		if _, err := file.Copy(ctx, filepath.Join(dir, "other"), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Copy of nothing: %v", err)
		}
		if got := list(t, dir); !slices.Equal(got, []string{"copy"}) {
			t.Errorf("left behind: %v", got)
		}
	})
}

func TestCopyTakesItBackWhenCanceled(t *testing.T) {
	from := write(t, random(64<<20))
	dir := t.TempDir()
	to := filepath.Join(dir, "copy")
	if err := os.WriteFile(to, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, func(ctx context.Context) error {
		x := rondo.Spawn(ctx, func(ctx context.Context) (int64, error) { return file.Copy(ctx, to, from) })
		for len(list(t, dir)) < 2 && !x.Done() { // until there is a temporary file
			_ = rondo.Sleep(ctx, 0)
		}
		x.Cancel("")
		_, err := x.Await(ctx)
		got, _ := os.ReadFile(to)
		if names := list(t, dir); len(names) != 1 || errors.Is(err, context.Canceled) != (string(got) == "before") {
			t.Errorf("after %v: %d bytes, %v", err, len(got), names)
		}
		return nil
	})
}

func TestTempIsGoneAfterTheBlock(t *testing.T) {
	both(t, func(t *testing.T, ctx context.Context) {
		var paths []string
		err := file.TempDir(ctx, "rondo-*", func(ctx context.Context, dir string) error {
			paths = append(paths, dir)
			if err := file.WriteFile(ctx, filepath.Join(dir, "x"), nil, 0o600); err != nil {
				return err
			}
			return file.Temp(ctx, "rondo-*", func(ctx context.Context, f *file.File) error {
				paths = append(paths, f.Name())
				_, err := fmt.Fprint(f, "hello")
				return errors.Join(err, errors.New("the end"))
			})
		})
		if err == nil || err.Error() != "the end" {
			t.Errorf("error %v", err)
		}
		for _, p := range paths {
			if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there: %v", p, err)
			}
		}
	})
}

func TestTempDirIsGoneAfterACancellation(t *testing.T) {
	run(t, func(ctx context.Context) error {
		var dir string
		x := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, file.TempDir(ctx, "rondo-*", func(ctx context.Context, d string) error {
				dir = d
				rondo.CurrentTask().Cancel("")
				return rondo.Sleep(ctx, time.Hour)
			})
		})
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if _, err := os.Lstat(dir); dir == "" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q is still there: %v", dir, err)
		}
		return nil
	})
}

// tree makes folders and files, more than one batch of them.
func tree(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for i := range 30 {
		for j := range 8 {
			dir := filepath.Join(root, fmt.Sprintf("d%02d", i), fmt.Sprint("e", j))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for k := range 8 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", k)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return root
}

func TestWalkIsFilepathsWalk(t *testing.T) {
	root := tree(t)
	skipped := func(path string) bool { return strings.HasSuffix(path, "e3") || strings.HasSuffix(path, "d07") }
	var want []string
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		want = append(want, path)
		if skipped(path) {
			return fs.SkipDir
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, ctx context.Context) {
		var got []string
		for e, err := range file.Walk(ctx, root) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Path)
			if skipped(e.Path) {
				e.SkipDir()
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("Walk yields %d entries, WalkDir %d", len(got), len(want))
		}
	})
}

func TestWalkTellsErrorsAndGoesOn(t *testing.T) {
	run(t, func(ctx context.Context) error {
		for e, err := range file.Walk(ctx, "/no/such/root") {
			if e.Path != "/no/such/root" || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q, %v", e.Path, err)
			}
		}
		n := 0
		root := tree(t)
		for e, err := range file.Walk(ctx, root) {
			if n++; n == 2 {
				rondo.CurrentTask().Cancel("")
			}
			if err != nil {
				if e.Path != "" || !errors.Is(err, context.Canceled) || n < 2 {
					t.Errorf("canceled walk: %q, %v", e.Path, err)
				}
				return nil
			}
		}
		t.Errorf("a canceled walk yielded %d entries", n)
		return nil
	})
}

func TestFSPassesTheKit(t *testing.T) {
	root := tree(t)
	both(t, func(t *testing.T, ctx context.Context) {
		if err := fstest.TestFS(file.FS(fstest.MapFS{"a/b": {Data: []byte("x")}, "c": {}}), "a/b", "c"); err != nil {
			t.Error(err)
		}
		if err := fstest.TestFS(file.DirFS(filepath.Join(root, "d01", "e1")), "f1"); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	root := tree(b)
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		if err := rondo.Run(func(ctx context.Context) error {
			for b.Loop() {
				for _, err := range file.Walk(ctx, root) {
					if err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("filepath", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = filepath.WalkDir(root, func(string, fs.DirEntry, error) error { return nil })
		}
	})
}
