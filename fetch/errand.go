package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// wordsStage is the stage whose counts the summary adds up.
const wordsStage = "words"

// errand is what one task does: it fetches a URL, processes the body, writes the record, and takes the next. Its memory
// is used again for each.
type errand struct {
	lane   *lane
	rec    Record
	digest *Digest // nil if none is taken
	stage  Stage   // nil if none runs on the loop
	hold   bool    // somebody needs the body whole
	typed  bool    // and somebody its media type
	body   []byte
	job    Job
	words  uint64
	lost   bool // the task was canceled while somebody else had the errand's memory

	retryAfter string
}

// keptBody is the capacity of a body's buffer up to which it is kept for the next.
const keptBody = 256 << 10

func newErrand(l *lane) (*errand, error) {
	cfg := &l.f.cfg
	e := &errand{lane: l, hold: cfg.Workers != nil || cfg.Saver != nil}
	if cfg.Digest {
		e.digest = NewDigest()
	}
	if cfg.Stage != "" {
		var err error
		if e.stage, err = NewStage(cfg.Stage); err != nil {
			return nil, err
		}
	}
	e.typed = cfg.Workers != nil || cfg.Stage != "" && cfg.Stage != wordsStage
	return e, nil
}

// serve does line, and then one line after another while there are any.
func (e *errand) serve(ctx context.Context, line Line) {
	for ok := true; ok && !e.lost; {
		e.do(ctx, line)
		e.lane.finish(ctx, &e.rec, e.words)
		if ctx.Err() != nil {
			return
		}
		line, ok, _, _ = e.lane.next() // main sees the end as well, and its error
	}
}

// do leaves the outcome of a line in the record.
func (e *errand) do(ctx context.Context, line Line) {
	r, cfg := &e.rec, &e.lane.f.cfg
	r.Reset()
	r.URL, r.Line, e.words = line.URL, line.Number, 0
	if line.Err != nil {
		e.fail(KindURL, line.Err.Error())
		if cfg.Warn != nil {
			cfg.Warn(line.Err)
		}
		return
	}
	begin := time.Now()
	for {
		r.Attempts++
		e.try(ctx)
		if r.Kind == "" || !e.again(ctx) {
			break
		}
	}
	r.Elapsed = time.Since(begin)
	if r.Kind == "" && e.hold {
		e.process(ctx)
	}
}

// again parks until the next try, if there is to be one.
func (e *errand) again(ctx context.Context) bool {
	r, f := &e.rec, e.lane.f
	o := Outcome{Status: r.Status, RetryAfter: e.retryAfter, Kind: r.Kind}
	pause, again := f.cfg.Retry.Next(r.Attempts, o, time.Now(), rand.Float64)
	if !again || ctx.Err() != nil || f.stopped.Load() {
		return false
	}
	e.lane.pause(ctx, pause)
	return true
}

func (e *errand) fail(kind Kind, message string) { e.rec.Kind, e.rec.Message = kind, message }

// failWith takes the kind from an error of the exchange.
func (e *errand) failWith(err error) {
	kind := KindOther
	var x *rondohttp.Error
	if errors.As(err, &x) {
		kind = Kind(x.Kind)
	}
	e.fail(kind, err.Error())
}

// try fetches the URL once.
//
// It and what calls it keep their frames small, and what is rare is in functions of its own: below it the exchange
// parks, and each task in flight holds on to a stack of the deepest call.
func (e *errand) try(ctx context.Context) {
	r := &e.rec
	r.Kind, r.Message, r.Status, r.FinalURL, r.Bytes, r.HasSum, e.retryAfter = "", "", 0, "", 0, false, ""
	resp, err := e.lane.session.Get(ctx, r.URL)
	if err != nil {
		e.failWith(err)
		return
	}
	r.Status, r.FinalURL = resp.Status, public(resp.URL)
	stage := e.begin(resp)
	err = e.read(ctx, resp, stage)
	_ = resp.Close()
	switch {
	case err != nil:
		e.failWith(err)
	default:
		e.end(stage)
	}
}

// public takes the user and the password out of a URL, which goes to files and to worker processes.
func public(url string) string {
	scheme := strings.Index(url, "://") + 3
	end := strings.IndexAny(url[scheme:], "/?#")
	if end < 0 {
		end = len(url) - scheme
	}
	if at := strings.LastIndexByte(url[scheme:scheme+end], '@'); at >= 0 {
		return url[:scheme] + url[scheme+at+1:]
	}
	return url
}

// good reports whether the answer is a document.
func (e *errand) good() bool { return e.rec.Status >= 200 && e.rec.Status < 300 }

// begin prepares for the body of resp and returns the stage for it, nil if there is none.
func (e *errand) begin(resp *rondohttp.Response) Stage {
	if e.digest != nil {
		e.digest.Reset()
	}
	if cap(e.body) > keptBody {
		e.body = nil
	}
	e.body = e.body[:0]
	if !e.good() {
		e.retryAfter = resp.Get("Retry-After")
		return nil
	}
	e.job.Doc = Document{URL: e.rec.FinalURL, Status: resp.Status}
	if e.typed {
		e.job.Doc.ContentType = mediaType(resp.Get("Content-Type"))
	}
	if e.stage != nil {
		e.stage.Reset(e.job.Doc)
	}
	return e.stage
}

// read reads the body. The digest and the stage get the chunks as they arrive, from the loop's own buffer.
func (e *errand) read(ctx context.Context, resp *rondohttp.Response, stage Stage) error {
	for {
		chunk, err := resp.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e.rec.Bytes += int64(len(chunk))
		if e.digest != nil {
			e.digest.Write(chunk)
		}
		if stage != nil {
			stage.Write(chunk)
		}
		if e.hold && e.good() {
			e.body = append(e.body, chunk...)
		}
	}
}

// end takes the results of a body that is whole.
func (e *errand) end(stage Stage) {
	r := &e.rec
	if e.digest != nil {
		r.HasSum, r.Sum = true, *e.digest.Sum()
	}
	if !e.good() {
		e.fail(KindStatus, strconv.Itoa(r.Status)+" "+http.StatusText(r.Status))
		return
	}
	if stage != nil {
		r.Result = stage.AppendResult(r.Result[:0])
		if w, ok := stage.(*Words); ok {
			e.words = w.Count()
		}
	}
}

// mediaType cuts the parameters off a Content-Type.
func mediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

// process hands the whole body to those who need it, and parks until they are done.
func (e *errand) process(ctx context.Context) {
	f := e.lane.f
	if s := f.cfg.Saver; s != nil {
		path, err := e.save(ctx, s)
		if err != nil {
			e.fail(KindSave, err.Error())
			return
		}
		e.rec.Saved = path
	}
	if w := f.cfg.Workers; w != nil {
		if err := e.work(ctx, w); err != nil {
			e.fail(KindWorker, err.Error())
			if err := w.Err(); err != nil {
				f.fail(err)
			}
			return
		}
		e.rec.Result = append(e.rec.Result[:0], e.job.Result...)
		if f.cfg.Isolated == wordsStage {
			e.words = wordsOf(e.job.Result)
		}
	}
}

// work has the body processed by a worker process.
func (e *errand) work(ctx context.Context, w *Workers) error {
	e.job.Body = e.body
	err := await(ctx, func(done func()) {
		e.job.Done = done
		w.Submit(&e.job)
	})
	if err != nil {
		e.lost = true // the pool has the job still
		return err
	}
	return e.job.Err
}

// save writes the body to a file, on a goroutine.
func (e *errand) save(ctx context.Context, s *Saver) (path string, err error) {
	url, body, saving := e.rec.URL, e.body, e.lane.f.saving
	path, err = rondo.ToThread(ctx, func() (string, error) {
		saving <- struct{}{}
		defer func() { <-saving }()
		return s.Save(url, body)
	})
	if ctx.Err() != nil {
		e.lost = true // the goroutine may have the body still
	}
	return path, err
}

// wordsOf reads the count from a result of [Words].
func wordsOf(result []byte) (n uint64) {
	rest, _ := bytes.CutPrefix(result, []byte(`{"words":`))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}
