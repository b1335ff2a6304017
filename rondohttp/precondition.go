package rondohttp

import (
	"net/http"
	"strings"
	"time"
)

// A selection is what preconditions are about: the representation that would be sent.
type selection struct {
	etag     string    // "" if there is none
	modified time.Time // zero if it is not known; whole seconds
}

// An outcome is what the preconditions of a request come to.
type outcome uint8

const (
	goOn outcome = iota
	notModified
	preconditionFailed
)

// conditions evaluates the preconditions of a request in the order of RFC 9110 section 13.2.2, but for If-Range.
func (s *selection) conditions(method string, get func(name string) string) outcome {
	read := method == http.MethodGet || method == http.MethodHead
	if v := get("If-Match"); v != "" {
		if !s.matches(v, true) {
			return preconditionFailed
		}
	} else if v := get("If-Unmodified-Since"); v != "" && !s.modified.IsZero() {
		if t, err := http.ParseTime(v); err == nil && s.modified.After(t) {
			return preconditionFailed
		}
	}
	if v := get("If-None-Match"); v != "" {
		switch {
		case !s.matches(v, false):
		case read:
			return notModified
		default:
			return preconditionFailed
		}
	} else if v := get("If-Modified-Since"); v != "" && read && !s.modified.IsZero() {
		if t, err := http.ParseTime(v); err == nil && !s.modified.After(t) {
			return notModified
		}
	}
	return goOn
}

// matches reports whether a list of entity tags names that of s, by the strong or the weak comparison (section 8.8.3.2).
func (s *selection) matches(list string, strong bool) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		if list == "" {
			return false
		}
		if list[0] == '*' {
			return true
		}
		tag, rest, ok := cutETag(list)
		if !ok {
			return false
		}
		if s.etag != "" && (strong && tag == s.etag && tag[0] == '"' || !strong && strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(s.etag, "W/")) {
			return true
		}
		list = rest
	}
}

// rangeApplies evaluates If-Range (section 13.1.5): a validator that does not match makes Range void.
func (s *selection) rangeApplies(ifRange string) bool {
	if ifRange == "" {
		return true
	}
	if tag, _, ok := cutETag(ifRange); ok {
		return tag == s.etag && tag[0] == '"'
	}
	t, err := http.ParseTime(ifRange)
	return err == nil && !s.modified.IsZero() && s.modified.Equal(t)
}

// cutETag takes an entity tag off the beginning of s (section 8.8.3).
func cutETag(s string) (tag, rest string, ok bool) {
	from := 0
	if strings.HasPrefix(s, "W/") {
		from = 2
	}
	if len(s) <= from || s[from] != '"' {
		return "", "", false
	}
	for i := from + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:], true
		case c < 0x21 || c == 0x7f:
			return "", "", false
		}
	}
	return "", "", false
}
