package rondo

import (
	"context"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo/loop"
	"github.com/rondo-go/rondo/poll"
)

// BenchmarkConnProxy copies a gigabyte from one connection of package net to another,
// and tells the processor time of the loop's thread and of all. RONDO_PROXY_MB is
// another size.
func BenchmarkConnProxy(b *testing.B) {
	for _, by := range []string{"buffer", "pipe"} {
		b.Run(by, func(b *testing.B) { benchmarkProxy(b, by == "pipe") })
	}
}

func benchmarkProxy(b *testing.B, pipe bool) {
	size := int64(1 << 30)
	if mb, err := strconv.Atoi(os.Getenv("RONDO_PROXY_MB")); err == nil {
		size = int64(mb) << 20
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	pair := func(ctx context.Context) (*Conn, net.Conn) {
		c, err := Dial(ctx, "tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		other, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		return c, other
	}
	err = Run(func(ctx context.Context) error {
		b.SetBytes(size)
		var ownSum, allSum time.Duration
		for b.Loop() {
			in, source := pair(ctx)
			out, sink := pair(ctx)
			go func() {
				p := make([]byte, 256<<10)
				for left := size; left > 0; {
					n, err := source.Write(p[:min(left, int64(len(p)))])
					if err != nil {
						break
					}
					left -= int64(n)
				}
				source.Close()
			}()
			go func() {
				p := make([]byte, 256<<10)
				for {
					if _, err := sink.Read(p); err != nil {
						break
					}
				}
				sink.Close()
			}()
			l, t := loop.Current()
			var splicer poll.Splicer
			if pipe {
				splicer, _ = l.Poller().(poll.Splicer)
			}
			own, all := cpu(b, syscall.RUSAGE_SELF+1), cpu(b, syscall.RUSAGE_SELF)
			n, err := copyConnBy(t, splicer, out, in)
			ownSum += cpu(b, syscall.RUSAGE_SELF+1) - own
			allSum += cpu(b, syscall.RUSAGE_SELF) - all
			if n != size || err != nil {
				b.Errorf("copied %d, %v", n, err)
			}
			out.Close()
			in.Close()
		}
		b.ReportMetric(float64(ownSum.Milliseconds())/float64(b.N), "loop-cpu-ms/op")
		b.ReportMetric(float64(allSum.Milliseconds())/float64(b.N), "all-cpu-ms/op")
		return nil
	}, WithoutSignals())
	if err != nil {
		b.Fatal(err)
	}
}

// cpu is the processor time of who, as getrusage(2) has it: RUSAGE_THREAD is 1.
func cpu(t testing.TB, who int) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
