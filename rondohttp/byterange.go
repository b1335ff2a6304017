package rondohttp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A byteRange is a part of a representation.
type byteRange struct{ at, n int64 }

func (r byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.at, r.at+r.n-1, size)
}

var (
	errRange       = errors.New("rondohttp: malformed range")
	errUnsatisfied = errors.New("rondohttp: range beyond the end")
)

// parseRange parses the field Range (RFC 9110 section 14.2) for a representation of that size. What
// lies beyond its end is left out, and what would be more than the whole, or is in another unit than bytes, is no
// range at all: nil, which means the whole.
//
// Errors: errRange; errUnsatisfied if nothing of what is asked for exists.
func parseRange(value string, size int64) (all []byteRange, err error) {
	unit, list, ok := strings.Cut(value, "=")
	if !ok || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return nil, nil
	}
	beyond, sum := false, int64(0)
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.Trim(item, " \t"); item == "" {
			continue
		}
		from, to, ok := strings.Cut(item, "-")
		if !ok {
			return nil, errRange
		}
		from, to = strings.Trim(from, " \t"), strings.Trim(to, " \t")
		r := byteRange{n: size}
		if from == "" {
			n, ok := digits(to)
			if !ok {
				return nil, errRange
			}
			r.n = min(n, size)
			r.at = size - r.n
			if n == 0 {
				beyond = true
				continue
			}
		} else {
			if r.at, ok = digits(from); !ok {
				return nil, errRange
			}
			if r.at >= size {
				beyond = true
				continue
			}
			last := size - 1
			if to != "" {
				if last, ok = digits(to); !ok {
					return nil, errRange
				}
			}
			if last < r.at {
				return nil, errRange
			}
			last = min(last, size-1)
			r.n = last - r.at + 1
		}
		all = append(all, r)
		sum += r.n
	}
	switch {
	case size == 0:
		return nil, nil
	case len(all) == 0 && beyond:
		return nil, errUnsatisfied
	case sum > size || sum < 0:
		return nil, nil
	}
	return all, nil
}

// digits parses a number without a sign. One that is too large is as large as can be.
func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
