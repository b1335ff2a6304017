package poll

// A WatchPoller is the part of a [Poller] that watches descriptors which are not
// its own.
type WatchPoller interface {
	// Watch begins to watch a descriptor, of which there may be one watch at a
	// time. The descriptor stays the caller's, who closes the watch before it.
	//
	// Errors: one that wraps [ErrUnsupported] for what has no readiness, such as
	// a regular file, and where the backend cannot watch descriptors at all.
	Watch(fd uintptr) (Watch, error)
}

// A Watch tells when a descriptor is ready. Readiness is a level: each operation
// looks anew. An error or the end of a stream counts as ready; the call that
// follows finds it.
//
// A descriptor that was closed under the watch is never ready again, or fails with
// EBADF, as the backend notices.
type Watch interface {
	// Readable is done when a read would not block, Writable when a write would
	// not. Neither is done at once: the answer comes by way of the poller's Wait.
	Readable(op *Op) (err error, ok bool)
	Writable(op *Op) (err error, ok bool)

	Cancel(op *Op)

	// Close ends the watch. The descriptor stays open.
	Close() error
}
