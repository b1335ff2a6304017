package polltest

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/rondo-go/rondo/poll"
)

// passed reads all of a file that was passed.
func (r *Rig) passed(f *os.File) string {
	r.Helper()
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		r.Error(err)
	}
	return string(all)
}

// tempFile makes a file to pass, which is read from its start.
func (r *Rig) tempFile(text string) *os.File {
	r.Helper()
	f, err := os.CreateTemp(r.TempDir(), "")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { f.Close() })
	f.WriteString(text)
	f.Seek(0, io.SeekStart)
	return f
}

func (r *Rig) unixPair() (a, b poll.Endpoint, ua, ub poll.UnixEndpoint) {
	r.Helper()
	if !hasPoll {
		r.Skip("no files are passed here")
	}
	a, b = r.Pair("unix")
	return a, b, a.(poll.UnixEndpoint), b.(poll.UnixEndpoint)
}

func (r *Rig) sendFiles(e poll.UnixEndpoint, text string, files ...*os.File) {
	r.Helper()
	op := r.Op()
	r.Await(op, func() bool {
		n, err, ok := e.SendFiles(&op.Op, []byte(text), files)
		if ok && (n != len(text) || err != nil) {
			r.Fatalf("sent %d, %v", n, err)
		}
		return ok
	})
}

func (r *Rig) receiveFiles(e poll.UnixEndpoint, size, max int) (text string, files []*os.File, err error) {
	r.Helper()
	op := r.Op()
	p := make([]byte, size)
	r.Await(op, func() (ok bool) {
		var n int
		n, files, err, ok = e.ReceiveFiles(&op.Op, p, max)
		text = string(p[:n])
		return ok
	})
	return text, files, err
}

func testPassFiles(r *Rig) {
	a, b, ua, ub := r.unixPair()
	// The receiver waits already.
	op := r.Op()
	p := make([]byte, 10)
	if n, files, err, ok := ub.ReceiveFiles(&op.Op, p, 2); ok {
		r.Fatal(n, files, err)
	}
	one, two := r.tempFile("one"), r.tempFile("two")
	r.sendFiles(ua, "both", one, two)
	one.Close() // they are under way
	r.Await(op, func() bool {
		n, files, err, ok := ub.ReceiveFiles(&op.Op, p, 2)
		if ok && (string(p[:n]) != "both" || err != nil || len(files) != 2) {
			r.Fatalf("got %q, %v, %v", p[:n], files, err)
		}
		if ok && (r.passed(files[0]) != "one" || r.passed(files[1]) != "two") {
			r.Error("files are wrong")
		}
		return ok
	})
	// Bytes without files, and the end.
	r.WriteAll(a, []byte("none"))
	if text, files, err := r.receiveFiles(ub, 10, 2); text != "none" || files != nil || err != nil {
		r.Errorf("got %q, %v, %v", text, files, err)
	}
	a.CloseWrite()
	if text, files, err := r.receiveFiles(ub, 10, 2); text != "" || files != nil || err != io.EOF {
		r.Errorf("at the end: %q, %v, %v", text, files, err)
	}
	r.Close(a, b)
}

func openFiles() int {
	names, _ := os.ReadDir("/proc/self/fd")
	return len(names)
}

func testPassTooManyFiles(r *Rig) {
	a, b, ua, ub := r.unixPair()
	f := r.tempFile("x")
	for _, max := range []int{0, 1, 2} {
		before := openFiles()
		r.sendFiles(ua, "many", f, f, f)
		text, files, err := r.receiveFiles(ub, 10, max)
		if text != "many" || files != nil || !errors.Is(err, poll.ErrFilesTruncated) {
			r.Errorf("max %d: got %q, %v, %v", max, text, files, err)
		}
		if after := openFiles(); after != before {
			r.Errorf("max %d: %d files open, before %d", max, after, before)
		}
	}
	r.Close(a, b)
}

// A message with files waits for room as any other, behind what was written.
func testPassFilesToSlowReader(r *Rig) {
	a, b, ua, _ := r.unixPair()
	f := r.tempFile("slow")
	_, op := r.fill(a, []byte(strings.Repeat("x", 10_000)))
	a.Cancel(&op.Op)
	if n, err, ok := ua.SendFiles(&op.Op, []byte("!"), []*os.File{f}); ok {
		r.Fatal(n, err)
	}
	rop := r.Op()
	p := make([]byte, 100_000)
	sent := false
	r.Until(func() bool {
		for !rop.Pending {
			n, files, err, _ := b.(poll.UnixEndpoint).ReceiveFiles(&rop.Op, p, 1)
			if err != nil {
				r.Fatal(err)
			}
			if len(files) > 0 {
				if p[n-1] != '!' || r.passed(files[0]) != "slow" {
					r.Errorf("%q with the file", p[n-1])
				}
				return true
			}
		}
		if !op.Pending && !sent {
			_, err, ok := ua.SendFiles(&op.Op, []byte("!"), []*os.File{f})
			if err != nil {
				r.Fatal(err)
			}
			sent = ok
		}
		return false
	})
	r.Close(a, b)
}

func testPeerCredentials(r *Rig) {
	a, b, ua, ub := r.unixPair()
	for _, u := range []poll.UnixEndpoint{ua, ub} {
		c, err := u.PeerCredentials()
		if errors.Is(err, poll.ErrUnsupported) {
			r.Skip(err)
		}
		if want := (poll.Credentials{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}); c != want || err != nil {
			r.Errorf("got %v, %v, want %v", c, err, want)
		}
	}
	r.Close(a, b)
	c, d := r.Pair("tcp")
	_, err := c.(poll.UnixEndpoint).PeerCredentials()
	r.WantErr("credentials of TCP", err, poll.ErrUnsupported)
	op := r.Op()
	_, err, _ = c.(poll.UnixEndpoint).SendFiles(&op.Op, []byte("x"), nil)
	r.WantErr("files by TCP", err, poll.ErrUnsupported)
	r.Close(c, d)
}
