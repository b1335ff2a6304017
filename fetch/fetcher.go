package fetch

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rondo-go/rondo"
)

// Fetcher fetches the URLs of a [Lines] on several event loops, each on its own thread with a session of its own. The
// loops share the input, the output and nothing else. A loop takes a URL when it has a task free for it, so the faster
// one takes more; with a limit per host, URLs go to the loop that their host's name hashes to, which makes the limit
// exact.
//
// A Fetcher runs once. State and Stop may be called from any goroutine.
type Fetcher struct {
	cfg     Config
	lanes   []*lane
	saving  chan struct{} // permits for goroutines that write bodies
	stopped atomic.Bool
	stop    context.Context // done once stopped: cuts the pauses between tries short
	cancel  context.CancelFunc

	mu  sync.Mutex
	err error // why the run had to end
}

// maxSaving bounds the threads that write bodies to the disk at a time.
const maxSaving = 8

// New returns a Fetcher for cfg, which is not changed.
func New(cfg Config) *Fetcher {
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 100
	}
	if cfg.Loops <= 0 {
		cfg.Loops = runtime.GOMAXPROCS(0)
	}
	n := min(cfg.Loops, cfg.Concurrency)
	if cfg.PerHost > 0 {
		// One host's URLs are on one loop, whose share of the concurrency has to allow for them.
		n = min(n, max(cfg.Concurrency/cfg.PerHost, 1))
	}
	f := &Fetcher{cfg: cfg, saving: make(chan struct{}, maxSaving)}
	f.stop, f.cancel = context.WithCancel(context.Background())
	for i := range n {
		f.lanes = append(f.lanes, &lane{f: f, lines: cfg.Lines, limit: (cfg.Concurrency + i) / n})
	}
	if cfg.PerHost > 0 && n > 1 {
		for i, lines := range cfg.Lines.Deal(n, func(url string) int { return hostHash(url) % n }) {
			f.lanes[i].lines = lines
		}
	}
	return f
}

// hostHash hashes scheme, host and port of a URL, in whatever case (FNV-1a).
func hostHash(url string) int {
	h := uint32(2166136261)
	start := strings.Index(url, "://") + 3
	for i := range len(url) {
		c := url[i]
		if i >= start && (c == '/' || c == '?' || c == '#') {
			break
		}
		h = (h ^ uint32(lower(c))) * 16777619
	}
	return int(h >> 1)
}

// Run fetches until the input ends, Stop is called or ctx is done, which aborts what is in hand; it blocks. The summary
// counts what was done in any case. The error is not about single URLs: the input that could not be read, the output
// that could not be written, workers that don't work, or the cause of ctx.
func (f *Fetcher) Run(ctx context.Context) (*Summary, error) {
	begin := time.Now()
	defer f.cancel()
	errs := make([]error, len(f.lanes))
	var all sync.WaitGroup
	for i, l := range f.lanes {
		all.Go(func() {
			errs[i] = rondo.Run(l.run, rondo.WithContext(ctx), rondo.WithoutSignals())
			if errs[i] != nil {
				f.Stop() // the other loops need not go on
			}
		})
	}
	all.Wait()
	s := &Summary{Wall: time.Since(begin), HasWords: f.cfg.Stage == wordsStage || f.cfg.Isolated == wordsStage, HasDigest: f.cfg.Digest}
	for _, l := range f.lanes {
		s.Merge(&l.counters)
	}
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return s, f.err
	}
	return s, firstOf(errs)
}

// firstOf returns the first error there is: with the others it would be the same one several times.
func firstOf(errs []error) error {
	for _, err := range errs {
		var g *rondo.GroupError
		if errors.As(err, &g) && len(g.Errors) == 1 {
			err = g.Errors[0]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Stop ends fetching: no further URL is begun, what is in hand is finished.
func (f *Fetcher) Stop() {
	if f.stopped.Swap(true) {
		return
	}
	f.cancel()
	f.cfg.Lines.Close()
	for _, l := range f.lanes {
		l.lines.Close()
	}
}

// fail ends fetching for a reason that Run will return.
func (f *Fetcher) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	f.Stop()
}

// State tells how far the run is.
func (f *Fetcher) State() ProgressState {
	var s ProgressState
	for _, l := range f.lanes {
		s.Done += l.done.Load()
		s.Failed += l.failed.Load()
		s.Bytes += l.bytes.Load()
		s.InFlight += int(l.flying.Load())
	}
	s.Total, _ = f.cfg.Lines.Total()
	return s
}
