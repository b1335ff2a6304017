// Package rondotls is TLS on the loop: [Dial], [Listen], and [Client] and [Server] for
// connections that are open already, all of which make a [Conn]. The protocol is crypto/tls's.
//
// # Why not crypto/tls itself
//
// A tls.Conn runs on a rondo.Conn, and is right if one task uses it. But it holds
// a sync.Mutex while it writes, another while it reads, a third during the
// handshake. If the task parks meanwhile and a second task wants the
// same lock, that stops the thread, and the loop with it. So here the inner
// connection never parks in a write; tasks take turns, by locks which park, to
// read, to write and for the handshake; and what crypto/tls has written is sent
// after it has returned. It is sent in one piece, too, where crypto/tls makes a
// system call for each record of 16 KiB.
//
// # The lock order
//
// A turn (turn.go) is taken first, then crypto/tls's own lock, then wire.mu or
// deadlines.mu. Of the turns, the handshake's may be held when the writer's is
// taken. Of crypto/tls's locks, only that of the reader (and of the
// handshake, with it) is held across a park, by the holder of the turn.
package rondotls
