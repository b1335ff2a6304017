//go:build linux

package integration

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// How a connection of the soak test goes. The client chooses, and tells the server in a header.
const (
	soakEcho  = iota // all comes back, and the client ends its side first
	soakHalf         // the server ends its side after some bytes, and goes on reading
	soakReset        // the client resets the connection in the middle
	soakMute         // the client resets it without a word
	soakModes
)

// A soakHeader begins a connection.
type soakHeader struct {
	ID, Mode, Size, Part uint32
}

const soakHeaderSize = 16

func (h *soakHeader) bytes() []byte {
	p, _ := binary.Append(nil, binary.BigEndian, h)
	return p
}

// A soakEnd is how one end saw a connection.
type soakEnd struct {
	soakHeader
	Sent, Got int
	Err       string
}

// soakPlan draws connection id's header and its bytes, which both processes know by that.
func soakPlan(seed uint64, id uint32) (soakHeader, *rand.ChaCha8) {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	binary.BigEndian.PutUint32(key[8:], id)
	source := rand.NewChaCha8(key)
	r := rand.New(source)
	size := r.IntN(1 << r.IntN(18)) // mostly short, up to 128 KiB
	h := soakHeader{ID: id, Mode: soakEcho, Size: uint32(size), Part: uint32(r.IntN(size + 1))}
	if n := r.IntN(10); n < 4 {
		h.Mode = 1 + uint32(n)%(soakModes-1)
	}
	return h, source
}

// soakPeer is the client's process: "ADDR CONNECTIONS SEED" in its arguments, of package net alone. It connects, says
// so, and when it is told to goes through all connections at once.
func soakPeer(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	conns := make([]*net.TCPConn, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	turn := make(chan struct{}, 200)
	for i := range conns {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			c, err := net.Dial("tcp", args[0])
			if errs[i] = err; err == nil {
				conns[i] = c.(*net.TCPConn)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Println("connected")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	ends := make([]soakEnd, n)
	for i, c := range conns {
		wg.Go(func() { ends[i] = soakClient(c, seed, uint32(i)) })
	}
	wg.Wait()
	return json.NewEncoder(os.Stdout).Encode(ends)
}

// soakClient goes through one connection.
func soakClient(c *net.TCPConn, seed uint64, id uint32) (end soakEnd) {
	h, source := soakPlan(seed, id)
	end.soakHeader = h
	defer c.Close()
	if h.Mode == soakMute {
		c.SetLinger(0)
		return end
	}
	all := make([]byte, h.Size)
	source.Read(all)
	out := all
	if h.Mode == soakReset {
		out = all[:h.Part]
	}
	var wg sync.WaitGroup
	var writeErr error
	wg.Go(func() {
		if _, writeErr = c.Write(h.bytes()); writeErr != nil {
			return
		}
		r := rand.New(rand.NewPCG(seed, uint64(id)))
		for end.Sent < len(out) && writeErr == nil {
			var n int
			n, writeErr = c.Write(out[end.Sent:min(end.Sent+1+r.IntN(20000), len(out))])
			end.Sent += n
		}
		if h.Mode != soakReset && writeErr == nil {
			writeErr = c.CloseWrite()
		}
	})
	var readErr error
	if h.Mode == soakReset {
		// Some of the echo, and away in the middle of the rest.
		got := make([]byte, h.Part/2)
		end.Got, readErr = io.ReadFull(c, got)
		readErr = errors.Join(readErr, soakSame(got[:end.Got], all))
		wg.Wait()
		c.SetLinger(0)
	} else {
		var got []byte
		got, readErr = io.ReadAll(c)
		end.Got = len(got)
		readErr = errors.Join(readErr, soakSame(got, all))
		wg.Wait()
	}
	if err := errors.Join(writeErr, readErr); err != nil {
		end.Err = err.Error()
	}
	return end
}

func soakSame(got, want []byte) error {
	if len(got) > len(want) || string(got) != string(want[:len(got)]) {
		return errors.New("other bytes came back")
	}
	return nil
}
