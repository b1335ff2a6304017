package poll

// A Splicer is a [Poller] that can move bytes from one of its endpoints to another
// without a way through the program's memory (splice(2)).
type Splicer interface {
	// Conduit returns a conduit for one transfer from src to dst, which are not
	// the same.
	//
	// Errors: [ErrUnsupported] for endpoints between which it cannot; the
	// system's, when it is out of descriptors.
	Conduit(dst, src Endpoint) (Conduit, error)
}

// A Conduit is memory of the system between two endpoints. An operation is in flight
// on the endpoint whose it is; the endpoint's Cancel withdraws it.
type Conduit interface {
	// Fill is a Read of the source into the conduit, which must be empty: it
	// moves at least one byte, or returns io.EOF at the end. A conduit that
	// proves unable fails with [ErrUnsupported], having taken nothing.
	Fill(op *Op) (n int, err error, ok bool)

	// Drain is a Write to the destination of what is in the conduit, which must
	// not be empty: some of it, at least one byte.
	Drain(op *Op) (n int, err error, ok bool)

	// Held is how many bytes were filled in and not drained.
	Held() int

	// Release gives the conduit back. What it holds is lost.
	Release()
}
