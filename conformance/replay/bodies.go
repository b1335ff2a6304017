package main

import "errors"

// The bodies of generators, plain and asynchronous
//
// A genBody interprets the ops that both kinds have: yield, mark, loop, try and ret.
// It keeps the registers, and knows nothing of how a generator yields. That is
// the host's part, of which there is one for each running body:
//
//	host := &myHost{...}
//	b := genBody{host: host}
//	v, err := b.run(ops) // inside the generator's function
//
// The contract of a host:
//
//   - yield yields v and waits until the generator is resumed. It returns what
//     was sent, nil if nothing was, or the error that was thrown in or with which
//     the generator is being closed. The body prints "got" and keeps the
//     registers.
//   - mark prints text for this instance: "got V", "mark V", "caught EXC".
//   - extra runs any other op, prints what belongs to it, and returns its error.
//     It may read and set the registers of b, and may call b.value for a "$name".
//     An op that it does not know is an [errSkip], which nothing catches, so
//     that it comes out of run.
//
// An error leaves a body as it came, neither wrapped nor joined, so that run
// returns just what yield or extra returned, unless a try caught it.
type bodyHost interface {
	yield(v any) (sent any, err error)
	mark(text string)
	extra(b *genBody, op []any) error
}

// A genBody is one running body.
type genBody struct {
	host   bodyHost
	got    any     // the last value received
	ret    any     // the last return value of a "from"
	n      int     // how many values other than nil were received
	sum    float64 // their sum
	result any     // of the "ret" that was reached last
}

// run runs the whole body. It returns the value of the "ret" that ended it, or
// nil.
func (b *genBody) run(ops []any) (any, error) {
	left, err := b.block(ops)
	if err != nil || !left { // the "ret" of a try whose last block raised is void
		return nil, err
	}
	return b.result, nil
}

// block runs ops in order. Left is true if a "ret" was reached.
func (b *genBody) block(ops []any) (left bool, err error) {
	for _, op := range ops {
		if left, err := b.op(op.([]any)); left || err != nil {
			return left, err
		}
	}
	return false, nil
}

func (b *genBody) op(op []any) (left bool, err error) {
	switch op[0] {
	case "yield":
		sent, err := b.host.yield(b.value(op[1]))
		if err != nil {
			return false, err
		}
		b.receive(sent)
		b.host.mark(line("got", sent))
	case "mark":
		b.host.mark(line("mark", b.value(op[1])))
	case "loop":
		for range int(op[1].(float64)) {
			if left, err := b.block(op[2].([]any)); left || err != nil {
				return left, err
			}
		}
	case "try":
		return b.try(op[1].([]any), op[2].(string), op[3].([]any), op[4].([]any))
	case "ret":
		if len(op) > 1 {
			b.result = b.value(op[1])
		}
		return true, nil
	default:
		return false, b.host.extra(b, op)
	}
	return false, nil
}

// try runs a try op. Its last block holds no "ret".
func (b *genBody) try(ops []any, catch string, handler, final []any) (left bool, err error) {
	left, err = b.block(ops)
	if err != nil && catches(catch, err) {
		b.host.mark(line("caught", err))
		left, err = b.block(handler)
	}
	if isSkip(err) {
		return false, err
	}
	if _, err := b.block(final); err != nil {
		return false, err
	}
	return left, err
}

// catches tells whether a try op with this CATCH catches err.
func catches(catch string, err error) bool {
	if isSkip(err) {
		return false
	}
	switch class := className(err); catch {
	case "V":
		return class == "ValueError"
	case "K":
		return class == "KeyError"
	case "exc":
		return class != "GeneratorExit" && class != "CancelledError"
	case "exit":
		return class == "GeneratorExit"
	case "all":
		return true
	}
	return false
}

func isSkip(err error) bool {
	_, ok := errors.AsType[*errSkip](err)
	return ok
}

func (b *genBody) receive(v any) {
	b.got = v
	if v != nil {
		b.n++
		b.sum += v.(float64)
	}
}

// value reads a register if v is its "$name".
func (b *genBody) value(v any) any {
	switch v {
	case "$got":
		return b.got
	case "$ret":
		return b.ret
	case "$n":
		return float64(b.n)
	case "$sum":
		return b.sum
	case "$avg":
		if b.n == 0 {
			return nil
		}
		return b.sum / float64(b.n)
	}
	return v
}
