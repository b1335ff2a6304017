package rondo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A file that is cut while it is being sent ends there.
func TestSendFileOfAFileThatIsCut(t *testing.T) {
	const size, cut = 64 << 20, 1 << 20
	want := pattern(size)
	for _, count := range []int64{-1, size} {
		f := fileOf(t, want)
		runMain(t, func(ctx context.Context) error {
			c, other, err := peer(t, ctx)
			if err != nil {
				return err
			}
			var n int64
			task := Spawn(ctx, func(ctx context.Context) (int64, error) {
				var err error
				n, err = SendFile(ctx, c, f, 0, count)
				return n, err
			})
			// It stops in the middle, once the peer's buffers are full too.
			head := make([]byte, 2*cut)
			if _, err := ToThread(ctx, func() (int, error) { return io.ReadFull(other, head) }); err != nil {
				return err
			}
			if err := f.Truncate(cut); err != nil {
				return err
			}
			got := collected(ctx, other)
			_, err = task.Await(ctx)
			if count < 0 && err != nil || count > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes of a file that was cut: %v", count, err)
			}
			c.Close()
			rest, err := got.Await(ctx)
			if all := append(head, rest...); err != nil || int64(len(all)) != n || n >= size {
				t.Errorf("sent %d, %d came, %v", n, len(all), err)
			}
			if at, _ := f.Seek(0, io.SeekCurrent); at != n {
				t.Errorf("sent %d, the file is at %d", n, at)
			}
			return nil
		})
	}
}

func TestSendFileOfAFileWithHoles(t *testing.T) {
	const size = 9<<20 + 5
	f := fileOf(t, nil)
	if _, err := f.WriteAt([]byte("middle"), 4<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	copy(want[4<<20:], "middle")
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		got := collected(ctx, other)
		if n, err := SendFile(ctx, c, f, 0, size); n != size || err != nil {
			t.Errorf("sent %d, %v", n, err)
		}
		c.Close()
		if p, err := got.Await(ctx); err != nil || !bytes.Equal(p, want) {
			t.Errorf("%d bytes came, or others: %v", len(p), err)
		}
		return nil
	})
}

// A file system that is full is the file's error, and the connection stays usable.
func TestConnWriteToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	runMain(t, func(ctx context.Context) error {
		c, other, err := peer(t, ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := other.Write([]byte("lost")); err != nil {
			return err
		}
		n, err := io.Copy(full, c)
		if oe := new(net.OpError); n != 0 || !errors.Is(err, syscall.ENOSPC) || errors.As(err, &oe) {
			t.Errorf("copied %d, %v", n, err)
		}
		if _, err := other.Write([]byte("kept")); err != nil {
			return err
		}
		p := make([]byte, 10)
		if n, err := c.Read(p); string(p[:n]) != "kept" || err != nil {
			t.Errorf("then %q, %v", p[:n], err)
		}
		return nil
	})
}

// Writes to closed sockets and pipes are errors, and no signal ends the process. A
// child tries it, since a test binary's own handling of signals is not a program's.
func TestBrokenPipesKillNobody(t *testing.T) {
	const child = "RONDO_TEST_BROKEN_PIPES"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the child: %v\n%s", err, out)
		}
		return
	}
	f := fileOf(t, make([]byte, 1<<20))
	// until ends when write fails, which it must with EPIPE or a reset.
	until := func(name string, write func() error) {
		var err error
		for range 1000 {
			if err = write(); err != nil {
				break
			}
		}
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
	}
	runMain(t, func(ctx context.Context) error {
		data := make([]byte, 1000)
		broken := func(name string, write func(c *Conn) error) {
			for _, kind := range []string{"tcp", "unix"} {
				var c *Conn
				if kind == "tcp" {
					var other *net.TCPConn
					var err error
					if c, other, err = peer(t, ctx); err != nil {
						t.Error(err)
						return
					}
					other.Close()
				} else {
					a, b, err := SocketPair()
					if err != nil {
						t.Error(err)
						return
					}
					b.Close()
					c = a
				}
				until(name+" to "+kind, func() error { return write(c) })
				// Again: the error that was pending is gone, and this one raises it.
				until(name+" to "+kind+" again", func() error { return write(c) })
				c.Close()
			}
		}
		broken("write", func(c *Conn) error { _, err := c.Write(data); return err })
		broken("writev", func(c *Conn) error {
			_, err := c.WriteBuffers(&net.Buffers{data, data})
			return err
		})
		broken("sendfile", func(c *Conn) error { _, err := SendFile(ctx, c, f, 0, -1); return err })
		broken("splice", func(c *Conn) error {
			in, source, err := peer(t, ctx)
			if err != nil {
				return err
			}
			defer in.Close()
			go func() {
				source.Write(make([]byte, 8<<20))
				source.Close()
			}()
			_, err = io.Copy(c, in)
			return err
		})
		r, w, err := Pipe()
		if err != nil {
			return err
		}
		r.Close()
		until("write to a pipe", func() error { _, err := w.Write(data); return err })
		until("write to a pipe again", func() error { _, err := w.Write(data); return err })
		w.Close()
		return nil
	})
}
