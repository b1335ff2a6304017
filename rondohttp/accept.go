package rondohttp

import "strings"

// A codingSet holds, for each coding, how much a client wants it: 0 is not at all, 1000 is a q of 1.
type codingSet [numCodings]int16

// acceptedCodings parses Accept-Encoding (RFC 9110 section 12.5.3). Without one only what is not coded is wanted:
// the RFC would allow anything, but programs that do not ask for a coding mostly do not know any.
func acceptedCodings(value string) (set codingSet) {
	set[notCoded] = 1
	const unset = -1
	rest, plain := int16(unset), int16(unset)
	for value != "" {
		var item string
		item, value, _ = strings.Cut(value, ",")
		name, params, _ := strings.Cut(item, ";")
		q := qualityOf(params)
		switch name = strings.Trim(name, " \t"); {
		case name == "*":
			rest = q
		case strings.EqualFold(name, "identity"):
			plain = q
		case len(name) > 0 && len(name) <= len("deflate"):
			for c := gzipped; c < numCodings; c++ {
				if strings.EqualFold(name, codingNames[c]) {
					set[c] = q
					if q == 0 {
						set[c] = unset
					}
				}
			}
		}
	}
	for c := gzipped; c < numCodings; c++ {
		if set[c] == 0 && rest > 0 {
			set[c] = rest
		}
		set[c] = max(set[c], 0)
	}
	switch {
	case plain != unset:
		set[notCoded] = plain
	case rest == 0:
		set[notCoded] = 0
	}
	return set
}

// qualityOf returns the weight among parameters, in thousandths (RFC 9110 section 12.4.2). One that is malformed is 0.
func qualityOf(params string) int16 {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, v, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		if v == "" || len(v) > len("0.000") || v[0] != '0' && v[0] != '1' || len(v) > 1 && v[1] != '.' {
			return 0
		}
		q, unit := int16(v[0]-'0')*1000, int16(100)
		for i := 2; i < len(v); i++ {
			if v[i] < '0' || v[i] > '9' {
				return 0
			}
			q += int16(v[i]-'0') * unit
			unit /= 10
		}
		return min(q, 1000)
	}
	return 1000
}

// prefers reports whether a client with that Accept would rather have the media type a than b, which win in that
// order if it says nothing.
func prefers(accept, a, b string) bool { return acceptQuality(accept, a) > acceptQuality(accept, b) }

// acceptQuality returns how much Accept wants a media type, by its most specific range (RFC 9110 section 12.5.1).
func acceptQuality(accept, media string) (q int16) {
	if accept == "" {
		return 1000
	}
	major, _, _ := strings.Cut(media, "/")
	best := 0
	for accept != "" {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		name, params, _ := strings.Cut(item, ";")
		name = strings.Trim(name, " \t")
		how := 0
		switch {
		case strings.EqualFold(name, media):
			how = 3
		case len(name) == len(major)+2 && strings.HasSuffix(name, "/*") && strings.EqualFold(name[:len(major)], major):
			how = 2
		case name == "*/*":
			how = 1
		}
		if how > best {
			best, q = how, qualityOf(params)
		}
	}
	return q
}
