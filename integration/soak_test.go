//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// soakSize is the number of connections: RONDO_SOAK, or what is bearable here.
func soakSize(t *testing.T) int {
	n := 10000
	if raceEnabled || testing.Short() {
		n = 1000
	}
	if s := os.Getenv("RONDO_SOAK"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := int(limit.Cur) - 500; n > most { // package os has set it to the hard limit
		t.Logf("only %d connections: the limit of descriptors is %d", most, limit.Cur)
		n = most
	}
	return n
}

// Many connections are open on one loop, rest, and then are all busy at once, with half-closes and resets among
// them. Every byte is accounted for at both ends, and no descriptor is left.
func TestConnSoak(t *testing.T) {
	n := soakSize(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	before := descriptors(t)
	ends := make([]soakEnd, n)
	var mute int
	var clients []soakEnd
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		empty := heldMemory(true)
		peer := exec.Command(os.Args[0], "-test.run=^$", ln.Addr().String(), strconv.Itoa(n), strconv.FormatUint(seed, 10))
		peer.Env = append(os.Environ(), "RONDO_SOAK_PEER=1")
		peer.Stderr = os.Stderr
		in, err := peer.StdinPipe()
		if err != nil {
			return err
		}
		out, err := peer.StdoutPipe()
		if err != nil {
			return err
		}
		if err := start(peer); err != nil {
			return err
		}
		said := bufio.NewReader(out)

		return rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for range n {
				c, err := ln.Accept()
				if err != nil {
					return err
				}
				g.Go(func(ctx context.Context) error {
					end := soakServe(c.(*rondo.Conn))
					if end.Size == ^uint32(0) {
						mute++
						return nil
					}
					ends[end.ID] = end
					return nil
				})
			}
			if line, err := rondo.ToThread(ctx, func() (string, error) { return said.ReadString('\n') }); err != nil || line != "connected\n" {
				return fmt.Errorf("the peer says %q, %w", line, err)
			}
			t.Logf("%d connections at rest, a parked task each: %d bytes a connection", n, (heldMemory(true)-empty)/n)

			done := false
			g.Go(func(ctx context.Context) error {
				busiest := 0
				for !done {
					busiest = max(busiest, heldMemory(false))
					if err := rondo.Sleep(ctx, 50*time.Millisecond); err != nil { // a sample of what is real
						return err
					}
				}
				t.Logf("all busy: at most %d bytes a connection", (busiest-empty)/n)
				return nil
			})
			defer func() { done = true }()
			_, err := rondo.ToThread(ctx, func() (int, error) {
				fmt.Fprintln(in)
				err := json.NewDecoder(said).Decode(&clients)
				return 0, errors.Join(err, peer.Wait())
			})
			return err
		})
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	soakAccount(t, seed, clients, ends, mute)
}

// heldMemory is what the program has from the system for objects and stacks, once garbage is collected or as it is.
func heldMemory(collect bool) int {
	if collect {
		runtime.GC()
		runtime.GC() // also what pools held
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if collect {
		return int(m.HeapAlloc + m.StackInuse)
	}
	return int(m.HeapInuse + m.StackInuse)
}

// soakBuffers are lent to busy connections of the one loop.
var soakBuffers [][]byte

// soakServe is the server's end of one connection.
func soakServe(c *rondo.Conn) (end soakEnd) {
	defer c.Close()
	head := make([]byte, soakHeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		end.Size, end.Err = ^uint32(0), err.Error()
		return end
	}
	binary.Decode(head, binary.BigEndian, &end.soakHeader)
	if len(soakBuffers) == 0 {
		soakBuffers = append(soakBuffers, make([]byte, 8<<10))
	}
	p := soakBuffers[len(soakBuffers)-1]
	soakBuffers = soakBuffers[:len(soakBuffers)-1]
	defer func() { soakBuffers = append(soakBuffers, p) }()
	most := int(end.Size)
	if end.Mode == soakHalf {
		if most = int(end.Part); most == 0 {
			end.fail(c.CloseWrite())
		}
	}
	for {
		n, err := c.Read(p)
		end.Got += n
		if back := p[:min(n, most-end.Sent)]; len(back) > 0 {
			n, err := c.Write(back)
			end.Sent += n
			if err != nil {
				end.fail(err)
				return end
			}
			if end.Mode == soakHalf && end.Sent == most {
				end.fail(c.CloseWrite())
			}
		}
		if err == io.EOF {
			return end
		} else if err != nil {
			end.fail(err)
			return end
		}
	}
}

func (e *soakEnd) fail(err error) {
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Err = "reset"
	default:
		e.Err = err.Error()
	}
}

// soakAccount compares what the two ends say.
func soakAccount(t *testing.T, seed uint64, clients, servers []soakEnd, mute int) {
	t.Helper()
	modes := make([]int, soakModes)
	bytes := 0
	for id, c := range clients {
		want, _ := soakPlan(seed, uint32(id))
		s := servers[id]
		modes[c.Mode]++
		bytes += c.Got
		size, part := int(want.Size), int(want.Part)
		ok := c.soakHeader == want && c.Err == ""
		switch c.Mode {
		case soakEcho:
			ok = ok && c.Sent == size && c.Got == size && s == soakEnd{soakHeader: want, Sent: size, Got: size}
		case soakHalf:
			ok = ok && c.Sent == size && c.Got == part && s == soakEnd{soakHeader: want, Sent: part, Got: size}
		case soakReset:
			ok = ok && c.Sent == part && c.Got == part/2 && s.soakHeader == want &&
				s.Got <= part && s.Sent <= s.Got && s.Sent >= c.Got && s.Err == "reset"
		case soakMute:
			ok = ok && s == soakEnd{}
		}
		if !ok {
			t.Errorf("connection %d: planned %+v, the client says %+v, the server %+v", id, want, c, s)
		}
	}
	if modes[soakMute] != mute {
		t.Errorf("%d connections were reset without a word, seen were %d", modes[soakMute], mute)
	}
	t.Logf("echo, half-close, reset, reset at once: %d; %d bytes came back", modes, bytes)
}

// Out of descriptors, Dial and Accept say so, and go on when there are some again.
func TestListenerSurvivesEMFILE(t *testing.T) {
	const peers = 60
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	nobody := closedPort(t)
	before := descriptors(t)
	served, full, dialFull := 0, 0, 0
	err := rondo.Run(func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		peer := exec.Command(os.Args[0], "-test.run=^$", ln.Addr().String(), strconv.Itoa(peers), "1")
		peer.Env = append(os.Environ(), "RONDO_SOAK_PEER=1")
		in, err := peer.StdinPipe()
		if err != nil {
			return err
		}
		out, err := peer.StdoutPipe()
		if err != nil {
			return err
		}
		if err := start(peer); err != nil {
			return err
		}
		low := syscall.Rlimit{Cur: uint64(descriptors(t) + 20), Max: was.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			return err
		}
		said := bufio.NewReader(out)
		if _, err := rondo.ToThread(ctx, func() (string, error) { return said.ReadString('\n') }); err != nil {
			return err
		}
		fmt.Fprintln(in) // all of them speak at once
		err = rondo.WithGroup(ctx, func(g *rondo.Group) error {
			for served < peers {
				c, err := ln.Accept()
				if errors.Is(err, syscall.EMFILE) {
					full++
					_, err := rondo.Dial(ctx, "tcp", nobody)
					if errors.Is(err, syscall.EMFILE) {
						dialFull++
					} else if !errors.Is(err, syscall.ECONNREFUSED) { // one had just become free
						return err
					}
					if err := rondo.Sleep(ctx, time.Millisecond); err != nil { // until a connection ends, in the peer's time
						return err
					}
					continue
				} else if err != nil {
					return err
				}
				served++
				g.Go(func(ctx context.Context) error {
					if err := rondo.Sleep(ctx, 5*time.Millisecond); err != nil { // so that there are many at once
						return err
					}
					soakServe(c.(*rondo.Conn))
					return nil
				})
			}
			return nil
		})
		var clients []soakEnd
		_, perr := rondo.ToThread(ctx, func() (int, error) {
			ln.Close()
			err := json.NewDecoder(said).Decode(&clients)
			return 0, errors.Join(err, peer.Wait())
		})
		for _, c := range clients {
			if c.Err != "" {
				t.Errorf("%+v", c)
			}
		}
		return errors.Join(err, perr)
	}, rondo.WithoutSignals())
	if err != nil {
		t.Fatal(err)
	}
	if full == 0 || dialFull == 0 {
		t.Errorf("out of descriptors %d times on accepting, %d times on connecting", full, dialFull)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}
