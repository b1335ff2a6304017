// Package epoll is the Linux backend: a [poll.Poller] that tries the system call
// and, where it would block, waits for an edge from epoll(7) and tries again.
package epoll
