package rondo

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// testPipe makes a pipe whose reading end does not block.
func testPipe(t *testing.T) (in, out *os.File, fd uintptr) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no readiness of descriptors")
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	if fd, err = DescriptorOf(in); err != nil {
		t.Fatal(err)
	}
	return in, out, fd
}

func TestLoopAddReaderIsLevelTriggered(t *testing.T) {
	in, out, fd := testPipe(t)
	runTest(t, func(ctx context.Context) error {
		l := RunningLoop()
		calls := NewQueue[uint64](0)
		if err := l.AddReader(fd, func() { calls.TryPut(l.Iteration()) }); err != nil {
			return err
		}
		if err := Sleep(ctx, 5*time.Millisecond); err != nil { // real: for a call that must not come
			return err
		}
		if n := calls.Len(); n != 0 {
			t.Errorf("called %d times before there was anything", n)
		}
		out.Write([]byte("x"))
		for range 5 { // nobody reads it
			if _, err := calls.Get(ctx); err != nil {
				return err
			}
		}
		in.Read(make([]byte, 1))
		for range 3 {
			if err := Sleep(ctx, 0); err != nil {
				return err
			}
		}
		for calls.Len() > 0 {
			calls.TryGet()
		}
		if err := Sleep(ctx, 5*time.Millisecond); err != nil { // real, as above
			return err
		}
		if n := calls.Len(); n != 0 {
			t.Errorf("called %d times after it was read dry", n)
		}
		if !l.RemoveReader(fd) || l.RemoveReader(fd) {
			t.Error("RemoveReader")
		}
		out.Write([]byte("x"))
		if err := Sleep(ctx, 5*time.Millisecond); err != nil { // real, as above
			return err
		}
		if n := calls.Len(); n != 0 {
			t.Errorf("called %d times after it was removed", n)
		}
		return nil
	})
}

func TestLoopAddReaderReplacesCallback(t *testing.T) {
	_, out, fd := testPipe(t)
	runTest(t, func(ctx context.Context) error {
		l := RunningLoop()
		done := NewFuture[int]()
		if err := l.AddReader(fd, func() { t.Error("the first callback was called") }); err != nil {
			return err
		}
		if err := l.AddReader(fd, func() {
			l.RemoveReader(fd)
			done.Set(1)
		}); err != nil {
			return err
		}
		out.Write([]byte("x"))
		_, err := done.Await(ctx)
		return err
	})
}

func TestLoopAddReaderGoesOnAfterPanic(t *testing.T) {
	_, out, fd := testPipe(t)
	reports := 0
	runTest(t, func(ctx context.Context) error {
		l := RunningLoop()
		calls := NewQueue[int](0)
		err := l.AddReader(fd, func() {
			if calls.TryPut(1); calls.Len() == 1 {
				panic("as told")
			}
			l.RemoveReader(fd)
		})
		if err != nil {
			return err
		}
		out.Write([]byte("x"))
		for calls.Len() < 2 {
			if err := Sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}, WithExceptionHandler(func(Report) { reports++ }))
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

func TestLoopAddWriterAndReaderTogether(t *testing.T) {
	in, out, _ := testPipe(t)
	rfd, _ := DescriptorOf(in)
	wfd, err := DescriptorOf(out)
	if err != nil {
		t.Fatal(err)
	}
	runTest(t, func(ctx context.Context) error {
		l := RunningLoop()
		var got []byte
		done := NewFuture[int]()
		left := 10
		err := l.AddWriter(wfd, func() {
			out.Write([]byte{byte(left)})
			if left--; left == 0 {
				l.RemoveWriter(wfd)
				out.Close()
			}
		})
		if err != nil {
			return err
		}
		err = l.AddReader(rfd, func() {
			p := make([]byte, 100)
			n, err := in.Read(p)
			if got = append(got, p[:n]...); err != nil {
				l.RemoveReader(rfd)
				done.Set(1)
			}
		})
		if err != nil {
			return err
		}
		if _, err := done.Await(ctx); err != nil {
			return err
		}
		if len(got) != 10 || got[0] != 10 || got[9] != 1 {
			t.Errorf("got %v", got)
		}
		return nil
	})
}

func TestLoopAddReaderRefusesRegularFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	runTest(t, func(ctx context.Context) error {
		fd, err := DescriptorOf(f)
		if err != nil {
			return err
		}
		if err := RunningLoop().AddReader(fd, func() {}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("add reader: %v", err)
		}
		if err := WaitReadable(ctx, fd); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("wait: %v", err)
		}
		if RunningLoop().RemoveReader(fd) {
			t.Error("removed what was not added")
		}
		return nil
	})
}

// The descriptor is closed without RemoveReader, and its number is taken by another.
func TestLoopAddReaderOfReusedDescriptor(t *testing.T) {
	in, _, fd := testPipe(t)
	runTest(t, func(ctx context.Context) error {
		l := RunningLoop()
		if err := l.AddReader(fd, func() { t.Error("called for what is closed") }); err != nil {
			return err
		}
		in.Close()
		_, out2, fd2 := testPipe(t)
		if fd2 != fd {
			t.Logf("%d was not taken again but %d", fd, fd2)
			l.RemoveReader(fd)
		}
		done := NewFuture[int]()
		if err := l.AddReader(fd2, func() {
			l.RemoveReader(fd2)
			done.Set(1)
		}); err != nil {
			return err
		}
		out2.Write([]byte("x"))
		_, err := done.Await(ctx)
		return err
	}, WithExceptionHandler(func(r Report) {
		if os.Getenv("RONDO_POLLER") != "portable" && runtime.GOOS == "linux" {
			t.Errorf("report %+v", r) // the portable backend may find it closed first
		}
	}))
}

func TestWaitReadableParksTasks(t *testing.T) {
	in, out, fd := testPipe(t)
	runTest(t, func(ctx context.Context) error {
		var tasks []*Task[int]
		for range 3 {
			tasks = append(tasks, Spawn(ctx, func(ctx context.Context) (int, error) { return 0, WaitReadable(ctx, fd) }))
		}
		if err := Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
		tasks[0].Cancel("")
		if _, err := tasks[0].Await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled wait: %v", err)
		}
		if tasks[1].Done() {
			t.Error("done before there was anything")
		}
		out.Write([]byte("x"))
		for _, x := range tasks[1:] {
			if _, err := x.Await(ctx); err != nil {
				return err
			}
		}
		in.Read(make([]byte, 1))
		err := Timeout(ctx, time.Millisecond, func(ctx context.Context) error { return WaitReadable(ctx, fd) })
		var te *TimeoutError
		if !errors.As(err, &te) {
			t.Errorf("wait for nothing: %v", err)
		}
		if n := len(RunningLoop().watches); n != 0 {
			t.Errorf("%d watches left", n)
		}
		wfd, err := DescriptorOf(out)
		if err != nil {
			return err
		}
		if err := WaitWritable(ctx, wfd); err != nil {
			return err
		}
		out.Close()
		return WaitReadable(ctx, fd) // the end
	})
	if err := WaitReadable(context.Background(), fd); !errors.Is(err, ErrNotTask) {
		t.Errorf("off the loop: %v", err)
	}
}
