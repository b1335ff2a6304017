//go:build unix

package sys

import "syscall"

// MsgTrunc is the flag of a datagram that was longer than its buffer.
const MsgTrunc = syscall.MSG_TRUNC

// IsTruncation says whether err is how the system tells of such a datagram: here
// it does not by an error.
func IsTruncation(error) bool { return false }
