package rondohttp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// An AccessFormat is how an [AccessLog] writes.
type AccessFormat uint8

const (
	// CommonLog is NCSA's format, which every analyser of logs knows.
	CommonLog AccessFormat = iota
	// CombinedLog is CommonLog with Referer and User-Agent.
	CombinedLog
	// JSONLog is an object a line, with the names that log/slog uses.
	JSONLog
	// ShortLog is for people who look at a terminal: time, peer, request, status, size and duration.
	ShortLog
)

// An AccessLog writes a line for every exchange, when it is over. The loops wait for no terminal and no
// disk: lines gather in memory, and a goroutine writes them. If it does not keep up, and
// a megabyte has gathered, lines are lost, and their number is written in their place.
type AccessLog struct {
	format AccessFormat
	w      io.Writer

	mu     sync.Mutex // guards what follows
	wake   sync.Cond
	lines  []byte
	lost   int
	closed bool
	done   chan struct{}
	err    error
}

// mostLogged bounds what gathers.
const mostLogged = 1 << 20

// NewAccessLog returns a log to w, which one goroutine writes to.
func NewAccessLog(w io.Writer, format AccessFormat) *AccessLog {
	l := &AccessLog{format: format, w: w, done: make(chan struct{})}
	l.wake.L = &l.mu
	go l.write()
	return l
}

// Wrap returns h with its exchanges logged. It has the face that h has.
func (l *AccessLog) Wrap(h http.Handler) http.Handler { return observe(h, l) }

// Close writes what has gathered. It blocks: it is not for tasks. It returns the first error of writing.
func (l *AccessLog) Close() error {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.done
	return l.err
}

func (l *AccessLog) write() {
	defer close(l.done)
	var spare []byte
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.lines) == 0 && !l.closed {
			l.wake.Wait()
		}
		if len(l.lines) == 0 {
			return
		}
		lines, lost := l.lines, l.lost
		l.lines, l.lost = spare[:0], 0
		l.mu.Unlock()
		if lost > 0 {
			lines = l.appendLost(lines, lost)
		}
		_, err := l.w.Write(lines)
		spare = lines
		l.mu.Lock()
		if err != nil && l.err == nil {
			l.err = fmt.Errorf("access log: %w", err)
		}
	}
}

func (l *AccessLog) appendLost(b []byte, n int) []byte {
	if l.format == JSONLog {
		return fmt.Appendf(b, "{\"level\":\"WARN\",\"msg\":\"access log: lines lost\",\"lost\":%d}\n", n)
	}
	return fmt.Appendf(b, "# %d lines lost\n", n)
}

func (l *AccessLog) started() {}

func (l *AccessLog) headers() bool { return l.format == CombinedLog || l.format == JSONLog }

func (l *AccessLog) observed(o *observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= mostLogged || l.closed {
		l.lost++
		return
	}
	if len(l.lines) == 0 {
		l.wake.Signal()
	}
	l.lines = l.append(l.lines, o)
}

func (l *AccessLog) append(b []byte, o *observation) []byte {
	host := o.host()
	switch l.format {
	case JSONLog:
		b = append(b, `{"time":"`...)
		b = o.began.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
		b = append(b, `","level":"INFO","msg":"request","peer":`...)
		b = appendJSON(b, o.remote)
		b = appendJSON(append(b, `,"method":`...), o.method)
		b = appendJSON(append(b, `,"target":`...), o.target)
		b = appendJSON(append(b, `,"proto":`...), o.proto)
		b = strconv.AppendInt(append(b, `,"status":`...), int64(o.status), 10)
		b = strconv.AppendInt(append(b, `,"bytes":`...), o.bytes, 10)
		b = strconv.AppendFloat(append(b, `,"duration_ms":`...), float64(o.took.Microseconds())/1000, 'f', 3, 64)
		if o.referer != "" {
			b = appendJSON(append(b, `,"referer":`...), o.referer)
		}
		if o.agent != "" {
			b = appendJSON(append(b, `,"agent":`...), o.agent)
		}
		if o.failed {
			b = append(b, `,"failed":true`...)
		}
		return append(b, "}\n"...)
	case ShortLog:
		b = o.began.AppendFormat(b, "15:04:05.000 ")
		b = append(append(b, host...), ' ')
		b = appendQuoted(append(append(b, o.method...), ' '), o.target)
		b = strconv.AppendInt(append(b, ' '), int64(o.status), 10)
		b = append(append(b, ' '), humanSize(o.bytes)...)
		b = append(append(b, ' '), roughly(o.took).String()...)
		if o.failed {
			b = append(b, " failed"...)
		}
		return append(b, '\n')
	}
	b = append(b, host...)
	b = o.began.AppendFormat(append(b, " - - ["...), "02/Jan/2006:15:04:05 -0700")
	b = append(append(b, `] "`...), o.method...)
	b = appendQuoted(append(b, ' '), o.target)
	b = append(append(b, ' '), o.proto...)
	b = strconv.AppendInt(append(b, `" `...), int64(o.status), 10)
	if b = append(b, ' '); o.bytes == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, o.bytes, 10)
	}
	if l.format == CombinedLog {
		for _, v := range []string{o.referer, o.agent} {
			if v == "" {
				v = "-"
			}
			b = append(appendQuoted(append(b, ` "`...), v), '"')
		}
	}
	return append(b, '\n')
}

// host returns the peer's address without its port.
func (o *observation) host() string {
	if h, _, err := net.SplitHostPort(o.remote); err == nil {
		return h
	}
	if o.remote == "" || o.remote == "@" {
		return "-" // a unix socket
	}
	return o.remote
}

// roughly rounds a duration to what people read.
func roughly(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// appendQuoted appends s such that it can neither end a quoted string nor move a terminal's cursor.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendJSON appends s as a string of JSON.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		case c == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}

// LogAccess returns h with its exchanges logged to l, in their tasks: what l writes to must not block.
func LogAccess(h http.Handler, l *slog.Logger) http.Handler { return observe(h, slogObserver{l}) }

type slogObserver struct{ l *slog.Logger }

func (s slogObserver) started()      {}
func (s slogObserver) headers() bool { return true }

func (s slogObserver) observed(o *observation) {
	level := slog.LevelInfo
	if o.failed || o.status >= 500 {
		level = slog.LevelError
	}
	s.l.LogAttrs(context.Background(), level, "request", slog.String("peer", o.remote), slog.String("method", o.method), slog.String("target", o.target),
		slog.String("proto", o.proto), slog.Int("status", o.status), slog.Int64("bytes", o.bytes), slog.Duration("duration", o.took),
		slog.String("referer", o.referer), slog.String("agent", o.agent))
}
