package sse

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// model is the standard's text, read naively: the whole stream at once.
func model(stream string) (events []Event, lastID string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	lines := strings.Split(stream, "\n")
	var typ, data, id string
	some := false
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		if line == "" {
			lastID = id
			if some {
				events = append(events, Event{Type: valid(typ), Data: valid(strings.TrimSuffix(data, "\n")), ID: id})
			}
			typ, data, some = "", "", false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			typ = value
		case "data":
			data += value + "\n"
			some = true
		case "id":
			if !strings.Contains(value, "\x00") {
				id = valid(value)
			}
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil && strings.Trim(value, "0123456789") == "" {
				events = append(events, Event{Retry: time.Duration(min(ms, int(1<<63-1)/int(time.Millisecond))) * time.Millisecond, ID: lastID})
			}
		}
	}
	return events, lastID
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// parse feeds stream in pieces that cut says.
func parse(stream string, cut func(left int) int) (events []Event, lastID string, err error) {
	var p Parser
	for len(stream) > 0 {
		n := cut(len(stream))
		err = p.Feed([]byte(stream[:n]), func(e Event) error { events = append(events, e); return nil })
		if err != nil {
			return events, p.LastID(), err
		}
		stream = stream[n:]
	}
	return events, p.LastID(), nil
}

var streams = []string{
	"data: a\n\n", "data: YHOO\ndata: +2\ndata: 10\n\n", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
	"data\n\ndata\ndata\n\ndata:", "data:test\n\ndata: test\n\n", "\ufeffdata: x\r\n\r\n", "\xef\xbbdata: x\n\n", "data: a\rdata: b\r\rdata: c\r\n\r\n",
	"event: add\ndata: 73857293\n\nevent: remove\n\n", "retry: 10\nretry: x\nretry: +5\nretry:\nretry: 99999999999999999\ndata: \xff\n\n", "id: a\x00b\nid: c\ndata\n\nid: d\n\nid: e\n",
}

func TestParserFollowsTheStandard(t *testing.T) {
	for _, s := range streams {
		want, wantID := model(s)
		for n := 1; n <= len(s); n++ {
			got, id, err := parse(s, func(left int) int { return min(n, left) })
			if err != nil || !slices.Equal(got, want) || id != wantID {
				t.Errorf("%q in pieces of %d: %+v %q %v, want %+v %q", s, n, got, id, err, want, wantID)
			}
		}
	}
}

func FuzzParser(f *testing.F) {
	for i, s := range streams {
		f.Add(s, uint64(i))
	}
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		want, wantID := model(s)
		got, id, err := parse(s, func(left int) int { return 1 + r.IntN(min(left, 1+r.IntN(20))) })
		if err != nil || !slices.Equal(got, want) || id != wantID {
			t.Fatalf("%q: %+v %q %v, want %+v %q", s, got, id, err, want, wantID)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("message", "two\nlines\r\nor three\r", "7", int64(5))
	f.Fuzz(func(t *testing.T, typ, data, id string, retry int64) {
		if strings.ContainsAny(typ+id, "\r\n\x00") {
			return
		}
		e := Event{Type: typ, Data: data, ID: id, Retry: time.Duration(retry%1000) * time.Millisecond}
		got, _ := model(string(e.append(nil)))
		var want []Event
		if e.Retry > 0 {
			want = append(want, Event{Retry: e.Retry})
		}
		if data != "" || e.Retry <= 0 {
			want = append(want, Event{Type: valid(typ), Data: valid(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)), ID: valid(id)})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %+v, want %+v", e, got, want)
		}
	})
}

func TestParserLimit(t *testing.T) {
	for _, s := range []string{strings.Repeat("x", 200), strings.Repeat("data: 0123456789\n", 20), "data: " + strings.Repeat("x", 200) + "\n"} {
		for _, n := range []int{1, 7, 1000} {
			p := Parser{Limit: 100}
			var err error
			for c := range slices.Chunk([]byte(s), n) {
				if err = p.Feed(c, func(Event) error { return nil }); err != nil {
					break
				}
			}
			if !errors.Is(err, ErrTooLong) {
				t.Errorf("%.20q... in pieces of %d: %v", s, n, err)
			}
		}
	}
	p := Parser{Limit: 100}
	if err := p.Feed([]byte(strings.Repeat("data: 0123456789\n\n", 50)), func(Event) error { return nil }); err != nil {
		t.Errorf("many small events: %v", err)
	}
}
