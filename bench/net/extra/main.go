// What the comparison of servers leaves out, Rondo beside Go's own packages: connections
// that come and go, a file that is sent, datagrams, a proxy, JSON, HTTP/2.
//
//	go run ./net/extra [-rounds N] connect|sendfile|udp|proxy|json|h2
//
// Each figure is of a server in a process of its own, whose processor time (user and
// system) is what counts; the client is this process, and the same for all. Rounds are
// interleaved, and the table has their medians.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A job is a load. It returns how many operations it did.
type job struct {
	unit    string
	servers []server
	load    func(address string) (ops int, err error)
}

type server struct {
	name string
	run  func(ready func(net.Addr), file string) error
}

var jobs = map[string]job{
	"connect":  {"connection", []server{{"go-net", goConnect}, {"rondo", rondoConnect}}, loadConnect},
	"sendfile": {"GB", []server{{"go-net", goSendFile}, {"rondo", rondoSendFile}}, loadReceive},
	"udp":      {"datagram", []server{{"go-net", goUDP}, {"rondo", rondoUDP}, {"rondo batch", rondoUDPBatch}}, loadUDP},
	"json":     {"request", httpServers, loadJSON},
	"h2":       {"request", httpServers, loadH2},
	"proxy":    {"GB", []server{{"go-net", goProxy}, {"rondo", rondoProxy}}, loadReceive},
}

func main() {
	rounds := flag.Int("rounds", 5, "rounds")
	serve := flag.String("serve", "", "be this server")
	file := flag.String("file", "", "what to send")
	flag.Parse()
	name := flag.Arg(0)
	j, ok := jobs[name]
	if !ok {
		fail(fmt.Errorf("usage: %s [-rounds N] connect|sendfile|udp|proxy|json|h2", os.Args[0]))
	}
	if *serve != "" {
		fail(j.serve(*serve, *file))
		return
	}
	fail(j.compare(name, *rounds))
}

// serve is the server's process: it prints its address, and ends with standard input.
func (j job) serve(name, file string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for _, s := range j.servers {
		if s.name == name {
			return s.run(func(a net.Addr) { fmt.Println(a) }, file)
		}
	}
	return fmt.Errorf("no server %q", name)
}

func (j job) compare(name string, rounds int) error {
	file := ""
	if name == "sendfile" || name == "proxy" {
		f, err := os.CreateTemp("", "extra")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		file = f.Name()
		if _, err := io.CopyN(f, zeros{}, 1<<30); err != nil {
			return err
		}
		f.Close()
	}
	cpu, wall := make(map[string][]float64), make(map[string][]float64)
	for range rounds {
		for _, s := range j.servers {
			c, w, err := j.round(name, s.name, file)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			cpu[s.name], wall[s.name] = append(cpu[s.name], c), append(wall[s.name], w)
		}
	}
	fmt.Printf("| %s | server's CPU us per %s | ratio | wall us per %s |\n|---|---|---|---|\n", name, j.unit, j.unit)
	first := median(cpu[j.servers[0].name])
	for _, s := range j.servers {
		c := median(cpu[s.name])
		fmt.Printf("| %s | %.2f | %.2f | %.2f |\n", s.name, c, c/first, median(wall[s.name]))
	}
	return nil
}

// round returns microseconds per operation.
func (j job) round(name, which, file string) (cpu, wall float64, err error) {
	cmd := exec.Command(os.Args[0], "-serve", which, "-file", file, name)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // as many as Rondo has loops
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return 0, 0, err
	}
	before, err := used(cmd.Process.Pid)
	start := time.Now()
	ops := 0
	if err == nil {
		ops, err = j.load(strings.TrimSpace(address))
	}
	wall = float64(time.Since(start).Microseconds()) / float64(ops)
	if err == nil {
		var after time.Duration
		after, err = used(cmd.Process.Pid)
		cpu = float64((after - before).Microseconds()) / float64(ops)
	}
	in.Close()
	cmd.Wait()
	return cpu, wall, err
}

// used is the processor time of a process (clock_getcpuclockid(3)).
func used(pid int) (time.Duration, error) {
	var t unix.Timespec
	clock := ^int32(pid)<<3 | 2 // CPUCLOCK_SCHED of a process
	err := unix.ClockGettime(clock, &t)
	return time.Duration(t.Nano()), err
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "extra:", err)
		os.Exit(1)
	}
}
