// Package sys holds the system calls that Rondo makes by itself. It is the only
// importer of golang.org/x/sys, and the only package that uses unsafe.
//
// Two kinds of call are told apart with care. A call that cannot block (a
// receive or send with MSG_DONTWAIT, accept on a non-blocking listener, epoll
// with a timeout of 0) is a raw system call: the Go scheduler is not told of it,
// which saves more than such a call costs. A call that may sleep is announced to
// the scheduler, so that it can give the processor to others meanwhile.
//
// The calls of the hot path answer a bare [syscall.Errno], 0 for success: a caller
// compares it with EAGAIN far more often than it makes an error of it. All
// others return an error that names the system call ([os.SyscallError]). EINTR is
// dealt with here and never returned.
package sys
