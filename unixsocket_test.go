package rondo

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func needsUnix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no files are passed there")
	}
}

func passFile(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	f.WriteString(text)
	f.Seek(0, io.SeekStart)
	return f
}

// testPass passes a file from a to b.
func testPass(t *testing.T, a, b *Conn, size int) {
	t.Helper()
	p := []byte(strings.Repeat("x", size))
	f := passFile(t, "content")
	sent := make(chan error, 1)
	send := func() error {
		n, err := a.SendFiles(p, f)
		if err == nil && n != size {
			err = io.ErrShortWrite
		}
		return err
	}
	if a.loop.k.OnLoop() {
		if err := send(); err != nil {
			t.Fatal(err)
		}
		sent <- nil
	} else {
		go func() { sent <- send() }()
	}
	got := 0
	var files []*os.File
	for got < size {
		n, more, err := b.ReceiveFiles(make([]byte, size), 4)
		if err != nil {
			t.Fatal(err)
		}
		got += n
		files = append(files, more...)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	defer files[0].Close()
	if all, err := io.ReadAll(files[0]); string(all) != "content" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
}

func TestConnPassesFiles(t *testing.T) {
	needsUnix(t)
	l, stop := background(t)
	defer stop()
	for _, address := range []string{filepath.Join(t.TempDir(), "s"), "@rondo-test-pass-" + filepath.Base(t.TempDir())} {
		if address[0] == '@' && runtime.GOOS != "linux" {
			continue // no abstract names
		}
		a, b, err := pair(l, "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		x, err := SpawnThreadsafe(context.Background(), l, func(context.Context) (int, error) {
			testPass(t, a, b, 10)
			want := Credentials{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}
			if c, err := b.PeerCredentials(); c != want && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("credentials %v, %v", c, err)
			}
			return 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Await(context.Background()); err != nil {
			t.Fatal(err)
		}
		testPass(t, a, b, 500_000) // off the loop, and more than fits
		if _, err := a.SendFiles(nil, os.Stdin); err == nil {
			t.Error("files without bytes")
		}
		a.Close()
		if _, _, err := b.ReceiveFiles(make([]byte, 1), 1); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		b.Close()
		if _, err := b.PeerCredentials(); err == nil {
			t.Error("credentials of a closed connection")
		}
	}
}

func TestConnReceiveFilesCanceledKeepsFiles(t *testing.T) {
	needsUnix(t)
	runTest(t, func(ctx context.Context) error {
		ln, err := Listen(ctx, "unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			return err
		}
		a, err := Dial(ctx, "unix", ln.Addr().String())
		if err != nil {
			return err
		}
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		b := c.(*Conn)
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			n, _, err := b.ReceiveFiles(make([]byte, 10), 1)
			return n, err
		})
		if err := Sleep(ctx, 0); err != nil {
			return err
		}
		x.Cancel("")
		if _, err := x.Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		testPass(t, a, b, 10)
		return nil
	})
}

func TestConnPassesFilesOnlyByUnixSockets(t *testing.T) {
	l, stop := background(t)
	defer stop()
	a, b, err := pair(l, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer a.Close()
	if _, err := a.SendFiles([]byte("x"), os.Stdin); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("send: %v", err)
	}
	if _, _, err := a.ReceiveFiles(make([]byte, 1), 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("receive: %v", err)
	}
	if _, err := a.PeerCredentials(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("credentials: %v", err)
	}
}

func TestListenExplainsPathInUse(t *testing.T) {
	needsUnix(t)
	runTest(t, func(ctx context.Context) error {
		path := filepath.Join(t.TempDir(), "s")
		if _, err := Listen(ctx, "unix", path); err != nil {
			return err
		}
		_, err := Listen(ctx, "unix", path)
		if err == nil || !strings.Contains(err.Error(), path+" exists; remove it") {
			t.Errorf("listen: %v", err)
		}
		_, err = ListenPacket(ctx, "unixgram", path)
		if err == nil || !strings.Contains(err.Error(), path+" exists; remove it") {
			t.Errorf("listen: %v", err)
		}
		if _, err := Listen(ctx, "unixpacket", path); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("unixpacket: %v", err)
		}
		return nil
	})
}

func TestPacketConnPassesFiles(t *testing.T) {
	needsUnix(t)
	runTest(t, func(ctx context.Context) error {
		b, err := ListenPacket(ctx, "unixgram", filepath.Join(t.TempDir(), "b"))
		if err != nil {
			return err
		}
		a, err := ListenPacket(ctx, "unixgram", filepath.Join(t.TempDir(), "a"))
		if err != nil {
			return err
		}
		check := func(where string) {
			n, from, files, err := b.ReceiveFiles(make([]byte, 10), 1)
			if n != 2 || from == nil || from.String() != a.LocalAddr().String() || len(files) != 1 || err != nil {
				t.Errorf("%s: got %d bytes from %v, %v, %v", where, n, from, files, err)
				return
			}
			defer files[0].Close()
			if all, err := io.ReadAll(files[0]); string(all) != "content" || err != nil {
				t.Errorf("%s: read %q, %v", where, all, err)
			}
		}
		reader := Spawn(ctx, func(context.Context) (int, error) { check("parked"); return 0, nil })
		if err := Sleep(ctx, 0); err != nil {
			return err
		}
		if err := a.SendFiles([]byte("hi"), b.LocalAddr(), passFile(t, "content")); err != nil {
			return err
		}
		if _, err := reader.Await(ctx); err != nil {
			return err
		}
		_, err = ToThread(ctx, func() (int, error) {
			err := a.SendFiles([]byte("hi"), b.LocalAddr(), passFile(t, "content"))
			check("off the loop")
			return 0, err
		})
		if err != nil {
			return err
		}
		f := passFile(t, "content")
		if err := a.SendFiles([]byte("hi"), b.LocalAddr(), f, f, f); err != nil {
			return err
		}
		if n, _, files, err := b.ReceiveFiles(make([]byte, 10), 1); n != 2 || files != nil || !errors.Is(err, ErrFilesTruncated) {
			t.Errorf("too many: %d, %v, %v", n, files, err)
		}
		if err := a.SendFiles([]byte("hi"), nil, f); err == nil {
			t.Error("sent to nobody")
		}
		u, err := ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		if _, _, _, err := u.ReceiveFiles(make([]byte, 1), 1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("by UDP: %v", err)
		}
		return nil
	})
}

// The receiver's queue is full, and the system does not say when there is room for
// a sender that is not connected.
func TestPacketConnWaitsForFullReceiver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("others drop, or say ENOBUFS")
	}
	runTest(t, func(ctx context.Context) error {
		b, err := ListenPacket(ctx, "unixgram", filepath.Join(t.TempDir(), "b"))
		if err != nil {
			return err
		}
		a, err := ListenPacket(ctx, "unixgram", filepath.Join(t.TempDir(), "a"))
		if err != nil {
			return err
		}
		const all = 600 // more than a queue holds
		x := Spawn(ctx, func(ctx context.Context) (int, error) {
			for i := range all {
				if _, err := a.WriteTo([]byte{byte(i)}, b.LocalAddr()); err != nil {
					return i, err
				}
			}
			return all, nil
		})
		if err := Sleep(ctx, 0); err != nil {
			return err
		}
		if x.Done() {
			t.Error("the queue was never full")
		}
		p := make([]byte, 2)
		for i := range all {
			if n, err := b.Read(p); n != 1 || p[0] != byte(i) || err != nil {
				t.Fatalf("%d: got %v, %v", i, p[:n], err)
			}
		}
		_, err = x.Await(ctx)
		return err
	})
}
