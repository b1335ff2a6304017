package sys

import (
	"errors"

	"golang.org/x/sys/windows"
)

// MsgTrunc is the flag of a datagram that was longer than its buffer.
const MsgTrunc = 0x100

// IsTruncation says whether err is how the system tells of such a datagram.
func IsTruncation(err error) bool { return errors.Is(err, windows.WSAEMSGSIZE) }
