// Command rawepoll is a floor, not a client: one goroutine, raw epoll, C
// keep-alive connections, one host, Content-Length bodies only, each body
// hashed and counted as it arrives with no body buffer.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"hash"
	"log"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/rondo-go/rondo/bench/fetch/peers/go/work"
)

type conn struct {
	fd   int
	left int // body bytes still to come; -1 while in the header
	head []byte
	sum  hash.Hash
	prev uint8
}

func read(fd int, b []byte) int {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return -int(e)
	}
	return int(n)
}

func write(fd int, b []byte) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 || int(n) != len(b) {
		log.Fatal("write: ", n, e)
	}
}

func main() {
	urls := flag.String("urls", "-", "file of URLs, one a line")
	c := flag.Int("c", 100, "concurrency")
	process := flag.Bool("process", true, "hash and count words")
	flag.Parse()
	runtime.LockOSThread()
	in := os.Stdin
	if *urls != "-" {
		in, _ = os.Open(*urls)
	}
	sc := bufio.NewScanner(in)
	start := time.Now()
	n := 0
	var host string
	out := make([]byte, 0, 4096)
	next := func(cn *conn) bool {
		if !sc.Scan() {
			return false
		}
		n++
		rest, _ := strings.CutPrefix(sc.Text(), "http://")
		i := strings.IndexByte(rest, '/')
		host = rest[:i]
		out = append(append(append(append(append(out[:0], "GET "...), rest[i:]...), " HTTP/1.1\r\nHost: "...), host...), "\r\n\r\n"...)
		cn.left = -1
		cn.head = cn.head[:0]
		if cn.fd < 0 {
			ap := netip.MustParseAddrPort(host)
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
			if err == nil {
				err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()})
			}
			if err != nil {
				log.Fatal(err)
			}
			syscall.SetNonblock(fd, true)
			cn.fd = fd
		}
		write(cn.fd, out)
		return true
	}
	ep, _ := syscall.EpollCreate1(0)
	conns := make([]conn, *c)
	live := 0
	for i := range conns {
		conns[i] = conn{fd: -1, sum: sha256.New()}
		if !next(&conns[i]) {
			break
		}
		live++
		syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, conns[i].fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)})
	}
	var ok, total, words, check uint64
	buf := make([]byte, 256<<10)
	evs := make([]syscall.EpollEvent, 256)
	var digest [32]byte
	for live > 0 {
		m, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_WAIT, uintptr(ep), uintptr(unsafe.Pointer(&evs[0])), uintptr(len(evs)), ^uintptr(0), 0, 0)
		if e != 0 {
			continue
		}
		for _, ev := range evs[:m] {
			cn := &conns[ev.Fd]
			r := read(cn.fd, buf)
			if r <= 0 {
				log.Fatal("read: ", r)
			}
			b := buf[:r]
			if cn.left < 0 {
				if len(cn.head) > 0 {
					b = append(cn.head, b...)
				}
				end := bytes.Index(b, []byte("\r\n\r\n"))
				if end < 0 {
					cn.head = append(cn.head[:0], b...)
					continue
				}
				if !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
					log.Fatalf("%q", b[:end])
				}
				k := bytes.Index(b[:end], []byte("Content-Length: ")) + 16
				e := k + bytes.IndexByte(b[k:], '\r')
				cn.left, _ = strconv.Atoi(string(b[k:e]))
				total += uint64(cn.left)
				b = b[end+4:]
				cn.sum.Reset()
				cn.prev = 1
			}
			if *process {
				cn.sum.Write(b)
				var w uint64
				w, cn.prev = work.Words(b, cn.prev)
				words += w
			}
			cn.left -= len(b)
			if cn.left == 0 {
				ok++
				if *process {
					check += binary.BigEndian.Uint64(cn.sum.Sum(digest[:0]))
				}
				if !next(cn) {
					syscall.Close(cn.fd)
					live--
				}
			}
		}
	}
	work.Report("floor-go-epoll", n, ok, total, words, check, start)
}
