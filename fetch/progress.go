package fetch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress shows on a terminal how a run goes: a line drawn over and over, on a goroutine of its own. Other writers to
// the same terminal write through it, so that their lines and this one don't mix. On anything but a terminal it draws
// nothing and passes the others' lines on.
type Progress struct {
	w     io.Writer
	width func() int // of the terminal in columns; nil if it is none
	state func() ProgressState
	begin time.Time

	mu    sync.Mutex
	shown bool // the line is on the screen
	quit  chan struct{}
	done  sync.WaitGroup
	rate  rate
}

// ProgressState is what there is to show.
type ProgressState struct {
	Done, Failed, Bytes int64
	InFlight            int
	Total               int64 // 0 if unknown
}

const progressEvery = 100 * time.Millisecond

// NewProgress begins to show state on f if f is a terminal. state is called on a goroutine of the Progress.
func NewProgress(f *os.File, state func() ProgressState) *Progress {
	var width func() int
	if fd := int(f.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		width = func() int {
			n, _, err := term.GetSize(fd)
			if err != nil || n <= 0 {
				return 80
			}
			return n
		}
	}
	return newProgress(f, width, state)
}

// NewQuietProgress returns a Progress that only passes lines on to w.
func NewQuietProgress(w io.Writer) *Progress { return newProgress(w, nil, nil) }

func newProgress(w io.Writer, width func() int, state func() ProgressState) *Progress {
	p := &Progress{w: w, width: width, state: state, begin: time.Now(), quit: make(chan struct{})}
	if width != nil {
		p.done.Go(p.run)
	}
	return p
}

func (p *Progress) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		case <-p.quit:
			return
		}
	}
}

// draw draws the line in place. One column stays free, since a terminal may wrap after its last.
func (p *Progress) draw() {
	s, now := p.state(), time.Now()
	line := progressLine(s, p.rate.add(now.Sub(p.begin), s.Done), now.Sub(p.begin), p.width()-1)
	fmt.Fprintf(p.w, "\r%s\x1b[K", line)
	p.shown = true
}

// Write writes whole lines above the line shown.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	return p.w.Write(b)
}

func (p *Progress) erase() {
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// Close ends the display and leaves the terminal's line empty. Write works on.
func (p *Progress) Close() {
	close(p.quit)
	p.done.Wait()
	p.mu.Lock()
	p.erase()
	p.mu.Unlock()
}

// rate is URLs a second over the last few seconds, so that it follows what happens now.
type rate struct {
	at   [32]time.Duration
	done [32]int64
	n    int
}

func (r *rate) add(at time.Duration, done int64) float64 {
	oldest := 0
	if r.n >= len(r.at) {
		oldest = r.n % len(r.at)
	}
	d, k := at-r.at[oldest], done-r.done[oldest]
	if r.n == 0 {
		d, k = at, done
	}
	r.at[r.n%len(r.at)], r.done[r.n%len(r.at)] = at, done
	r.n++
	if d <= 0 {
		return 0
	}
	return float64(k) / d.Seconds()
}

// progressLine renders s in at most width columns. What matters least goes first when they are few.
func progressLine(s ProgressState, perSecond float64, elapsed time.Duration, width int) string {
	parts := []string{Group(uint64(s.Done)) + " done"}
	if s.Total > 0 {
		parts[0] = fmt.Sprintf("%s of %s", Group(uint64(s.Done)), Group(uint64(max(s.Total, s.Done))))
	}
	if s.Failed > 0 {
		parts = append(parts, Group(uint64(s.Failed))+" failed")
	}
	parts = append(parts, fmt.Sprintf("%s/s", Group(uint64(perSecond+0.5))))
	if left := s.Total - s.Done; s.Total > 0 && left > 0 && perSecond > 0 {
		parts = append(parts, clock(time.Duration(float64(left)/perSecond*float64(time.Second)))+" left")
	} else {
		parts = append(parts, clock(elapsed))
	}
	parts = append(parts, Size(s.Bytes), fmt.Sprintf("%d in flight", s.InFlight))
	text := ""
	for _, part := range parts {
		longer := part
		if text != "" {
			longer = text + ", " + part
		}
		if len(longer) > width {
			break
		}
		text = longer
	}
	// The bar takes what room is left, within reason.
	if bar := min(width-len(text)-len("[] "), 24); s.Total > 0 && bar >= 8 {
		full := int(min(s.Done, s.Total) * int64(bar) / s.Total)
		text = "[" + strings.Repeat("=", full) + strings.Repeat(" ", bar-full) + "] " + text
	}
	return text
}

// clock writes a duration as 7s, 3m05s or 2h03m.
func clock(d time.Duration) string {
	s := int64(d.Seconds() + 0.5)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}
