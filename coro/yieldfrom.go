package coro

import "iter"

// YieldFrom runs inner from where it stands in place of the calling body, with
// the rules of PEP 380: what inner yields is yielded by y, what is sent and
// thrown goes to inner, and so on down to the innermost generator. It returns
// what inner returned, which is zero if inner had ended before.
//
// Closing goes down first: inner is closed, what it answers is lost, and
// YieldFrom returns [ErrExit], or the error of closing inner.
//
// A body can also hand its y to a function, which then yields for it. That costs
// less; YieldFrom is for what is a generator already.
//
// Errors: what inner returned; [ErrRunning].
func YieldFrom[Y, S, R any](y Yield[Y, S], inner *Generator[Y, S, R]) (r R, err error) {
	if inner.State() == Closed {
		return r, nil
	}
	v, ok, err := inner.Next()
	for ok {
		s, thrown := y(v)
		switch {
		case thrown == nil:
			v, ok, err = inner.Send(s)
		case IsExit(thrown):
			if _, err := inner.Close(); err != nil {
				return r, err
			}
			return r, thrown
		default:
			v, ok, err = inner.Throw(thrown)
		}
	}
	if err != nil {
		return r, err
	}
	r, _ = inner.Result()
	return r, nil
}

// YieldFromSeq yields the values of seq. Seq is not told what is sent, and an
// error that y returns ends it, and is returned.
func YieldFromSeq[Y, S any](y Yield[Y, S], seq iter.Seq[Y]) error {
	for v := range seq {
		if _, err := y(v); err != nil {
			return err
		}
	}
	return nil
}
