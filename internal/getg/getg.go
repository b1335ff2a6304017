// Package getg tells which goroutine is running, by the address of its g.
//
// The address identifies a goroutine only while it lives: the runtime reuses a
// g at once after its goroutine has ended. It is never dereferenced.
package getg

// Supported says whether Current works on this platform.
const Supported = supported
