package rondohttp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

const idleServerEnv = "RONDO_TEST_IDLE_SERVER"

// The server of TestPoolIdleConnectionsAreSmall is a process of its own, so that its memory is not counted: it answers
// when so many requests have come as its variable says.
func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(idleServerEnv)); err == nil {
		serveIdle(n)
		return
	}
	os.Exit(m.Run())
}

func serveIdle(n int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	var all sync.WaitGroup
	all.Add(n)
	for range n {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			c.Read(make([]byte, 1024))
			all.Done()
			all.Wait()
			io.WriteString(c, ok("hello"))
		}()
	}
	io.Copy(io.Discard, os.Stdin) // until the test is over
}

// resident returns the resident set of this process in bytes.
func resident(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// idleCost opens n connections at once, lets them all become idle, and returns what one of them takes then, of
// the heap, of stacks, and of the resident set.
func idleCost(t testing.TB, n int) (heap, stack, rss int64) {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), idleServerEnv+"="+strconv.Itoa(n))
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer stdin.Close()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + strings.TrimSpace(addr) + "/"
	err = rondo.Run(func(ctx context.Context) error {
		s := NewSession(WithLimit(n))
		defer s.Close()
		measure := func() (heap, stack, rss int64) {
			var m runtime.MemStats
			runtime.GC()
			debug.FreeOSMemory()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc), int64(m.StackInuse), resident(t)
		}
		heap0, stack0, rss0 := measure()
		err := rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range n {
				g.Go(func(ctx context.Context) error {
					_, err := fetch(ctx, s, &Request{URL: url})
					return err
				})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.pool.open != n || s.pool.busy.first != nil {
			t.Errorf("%d connections are open, %v in use", s.pool.open, s.pool.busy.first)
		}
		for c := s.pool.idle.first; c != nil; c = c.next {
			if c.own != nil || c.in != nil || c.holder != nil {
				t.Fatal("an idle connection holds a buffer or a task")
			}
		}
		for range 10 {
			rondo.Sleep(ctx, time.Millisecond) // real: a loop that sleeps ends half of its free coroutines each time
		}
		heap1, stack1, rss1 := measure()
		heap, stack, rss = (heap1-heap0)/int64(n), (stack1-stack0)/int64(n), (rss1-rss0)/int64(n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return heap, stack, rss
}

// net/http takes 25 KB, most of it for two goroutines.
func TestPoolIdleConnectionsAreSmall(t *testing.T) {
	if os.Getenv("RONDO_POLLER") == "portable" {
		t.Skip("this backend has goroutines for its connections")
	}
	if heap, stack, rss := idleCost(t, 2000); heap > 2000 {
		t.Errorf("%d bytes of heap a connection, want at most 2000; %d of stacks, %d resident", heap, stack, rss)
	}
}

// BenchmarkPoolIdle reports what one of 5,000 idle connections takes.
func BenchmarkPoolIdle(b *testing.B) {
	for b.Loop() {
		heap, stack, rss := idleCost(b, 5000)
		b.ReportMetric(float64(heap), "heap-B/conn")
		b.ReportMetric(float64(stack), "stack-B/conn")
		b.ReportMetric(float64(rss), "rss-B/conn")
	}
}
