package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rondo-go/rondo/coro"
)

// show prints a value of a trace. Errors may be among the items of a list.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return fmt.Sprint(v)
	case float64:
		return fmt.Sprintf("%.6g", v)
	case int:
		return show(float64(v))
	case string:
		return v
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			words[i] = show(item)
		}
		return "[" + strings.Join(words, ",") + "]"
	case error:
		return excName(v)
	}
	panic(fmt.Sprintf("no trace format for a %T", v))
}

// line prints words and values, with a space between them.
func line(words ...any) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = show(w)
	}
	return strings.Join(text, " ")
}

// raised is the error of the op ["raise", K, N], and of others that raise the
// same in some other place.
type raised struct {
	Kind string // V for ValueError, K for KeyError
	N    float64
}

// makeRaised takes K and N from an op.
func makeRaised(kind, n any) *raised { return &raised{kind.(string), n.(float64)} }

func (r *raised) Error() string {
	class := map[string]string{"V": "ValueError", "K": "KeyError"}[r.Kind]
	return class + ":" + show(r.N)
}

// generatorErrors tells which Python class stands for an error of package coro.
var generatorErrors = []struct {
	err  error
	name string
}{
	{coro.ErrNotStarted, "TypeError"},
	{coro.ErrIgnoredExit, "RuntimeError"},
	{coro.ErrRunning, "ValueError"},
}

// excName prints an error as the Python exception that it stands for. One that
// it does not know is printed as it is, and no trace will agree.
func excName(err error) string {
	if name, ok := rondoExc(err); ok {
		return name
	}
	if r, ok := errors.AsType[*raised](err); ok {
		return r.Error()
	}
	if coro.IsExit(err) {
		return "GeneratorExit"
	}
	for _, g := range generatorErrors {
		if errors.Is(err, g.err) {
			return g.name
		}
	}
	return err.Error()
}

// className is excName without what follows the name of the class.
func className(err error) string {
	name, _, _ := strings.Cut(excName(err), ":")
	return name
}
