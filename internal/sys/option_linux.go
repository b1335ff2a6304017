package sys

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What package net uses for the zero fields of a [net.KeepAliveConfig].
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// SetKeepAlive turns a TCP socket's probes of a silent peer on or off, and sets when
// they are sent. Zero fields of c mean those of package net, negative ones leave
// the setting alone (tcp(7), TCP_KEEPIDLE and following).
func SetKeepAlive(fd int, c net.KeepAliveConfig) error {
	err := setOption(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, truth(c.Enable))
	if err != nil || !c.Enable {
		return err
	}
	if c.Count == 0 {
		c.Count = keepAliveCount
	}
	for _, o := range [...]struct{ name, value int }{
		{unix.TCP_KEEPIDLE, seconds(c.Idle, keepAliveIdle)},
		{unix.TCP_KEEPINTVL, seconds(c.Interval, keepAliveInterval)},
		{unix.TCP_KEEPCNT, c.Count},
	} {
		if o.value < 0 {
			continue
		}
		if err := setOption(fd, unix.IPPROTO_TCP, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// seconds rounds up, and stays negative.
func seconds(d, zero time.Duration) int {
	switch {
	case d == 0:
		d = zero
	case d < 0:
		return -1
	}
	return int((d + time.Second - 1) / time.Second)
}

// SetNoDelay turns Nagle's delay of small packets off or on.
func SetNoDelay(fd int, on bool) error {
	return setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, truth(on))
}

// SetLinger sets what a close does with unsent bytes: for sec < 0 the system sends
// them meanwhile, for 0 it drops them and resets the connection.
func SetLinger(fd, sec int) error {
	l := unix.Linger{Onoff: int32(truth(sec >= 0)), Linger: int32(max(sec, 0))}
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l))
}

func setOption(fd, level, name, value int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
