package rondohttp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
)

// A socksTarget is what a SOCKS5 server is asked to connect to: an address, or else a name that it looks up.
type socksTarget struct {
	name, port string
	ip         netip.Addr    // not valid: name
	user       *url.Userinfo // nil: without authentication
}

// The numbers of RFC 1928 and RFC 1929.
const (
	socksVersion     = 5
	socksNoAuth      = 0
	socksPassword    = 2
	socksConnect     = 1
	socksIPv4        = 1
	socksName        = 3
	socksIPv6        = 4
	socksAuthVersion = 1
)

var socksReplies = [...]string{
	1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
	5: "connection refused", 6: "TTL expired", 7: "command not supported", 8: "address type not supported",
}

// connect runs the client's side of RFC 1928 on rw. It reads no byte more than the server's answer.
func (t *socksTarget) connect(rw io.ReadWriter) error {
	request, err := t.request()
	if err != nil {
		return err
	}
	methods := []byte{socksVersion, 1, socksNoAuth}
	if t.user != nil {
		methods = []byte{socksVersion, 2, socksNoAuth, socksPassword}
	}
	if _, err := rw.Write(methods); err != nil {
		return err
	}
	b := make([]byte, 256+2)
	if _, err := io.ReadFull(rw, b[:2]); err != nil {
		return err
	}
	switch {
	case b[0] != socksVersion:
		return fmt.Errorf("it speaks no SOCKS5: its answer begins with %#x", b[0])
	case b[1] == socksPassword && t.user != nil:
		if err := t.authenticate(rw, b); err != nil {
			return err
		}
	case b[1] != socksNoAuth:
		return errors.New("it accepts no way of authentication that we have")
	}
	if _, err := rw.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, b[:5]); err != nil {
		return err
	}
	if b[0] != socksVersion {
		return fmt.Errorf("it speaks no SOCKS5: its answer begins with %#x", b[0])
	}
	if code := int(b[1]); code != 0 {
		if code < len(socksReplies) {
			return fmt.Errorf("it cannot connect: %s", socksReplies[code])
		}
		return fmt.Errorf("it cannot connect: reply %d", code)
	}
	var rest int // of the address that it uses, which nobody needs, and the port
	switch b[3] {
	case socksIPv4:
		rest = 4 - 1 + 2
	case socksIPv6:
		rest = 16 - 1 + 2
	case socksName:
		rest = int(b[4]) + 2
	default:
		return fmt.Errorf("unknown type of address %d", b[3])
	}
	_, err = io.ReadFull(rw, b[:rest])
	return err
}

func (t *socksTarget) request() ([]byte, error) {
	b := []byte{socksVersion, socksConnect, 0}
	switch {
	case !t.ip.IsValid():
		if len(t.name) > 255 {
			return nil, fmt.Errorf("host name of %d bytes is too long for SOCKS", len(t.name))
		}
		b = append(append(b, socksName, byte(len(t.name))), t.name...)
	case t.ip.Is4():
		b = append(append(b, socksIPv4), t.ip.AsSlice()...)
	default:
		b = append(append(b, socksIPv6), t.ip.AsSlice()...)
	}
	port, err := strconv.ParseUint(t.port, 10, 16)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

// authenticate is RFC 1929.
func (t *socksTarget) authenticate(rw io.ReadWriter, b []byte) error {
	user := t.user.Username()
	password, _ := t.user.Password()
	if len(user) == 0 || len(user) > 255 || len(password) > 255 {
		return errors.New("user or password has a length that SOCKS cannot carry")
	}
	m := append([]byte{socksAuthVersion, byte(len(user))}, user...)
	m = append(append(m, byte(len(password))), password...)
	if _, err := rw.Write(m); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, b[:2]); err != nil {
		return err
	}
	if b[1] != 0 {
		return errors.New("it refuses user and password")
	}
	return nil
}
