package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

func runServe(args []string, s streams) int {
	f, err := parseServe(args)
	var help *errHelp
	if errors.As(err, &help) {
		fmt.Fprint(s.out, help.text)
		return exitOK
	}
	if err == nil {
		if err = f.run(s); err == nil {
			return exitOK
		}
	}
	return report(s.err, "serve", err)
}

// A site is what rondo serve runs.
type site struct {
	*serveFlags
	s       streams
	server  *rondohttp.Server
	health  rondohttp.Health
	metrics *rondohttp.Metrics
	log     *rondohttp.AccessLog // nil: none
	files   *rondohttp.Files     // nil: a proxy
	reload  *liveReload          // nil: none
	tls     *tls.Config          // nil: none
	ca      string               // the file of our own authority, if it issued the certificate
}

// run serves until a signal comes.
func (f *serveFlags) run(s streams) (err error) {
	x := &site{serveFlags: f, s: s}
	if f.tls {
		if err := x.certify(); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	handler, err := x.handler(log)
	if err != nil {
		return err
	}
	x.server = rondohttp.NewServer(handler, rondohttp.WithServerLog(log))
	if x.metrics != nil {
		x.metrics.Watch(x.server)
	}
	if x.reload != nil {
		x.server.RegisterOnShutdown(x.reload.close)
		defer x.reload.close()
	}
	term := make(chan os.Signal, 2)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)
	ended := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() { x.stopOnSignals(term, ended) })

	err = rondo.Run(x.listen, rondo.WithoutSignals(), rondo.WithLoops(f.loops))
	close(ended)
	stopping.Wait()
	if x.log != nil {
		err = errors.Join(err, x.log.Close())
	}
	if x.files != nil {
		err = errors.Join(err, x.files.Close())
	}
	return err
}

func (x *site) listen(ctx context.Context) error {
	var err error
	if x.tls != nil {
		err = x.server.ListenAndServeTLS(ctx, "tcp", x.addr, x.tls, x.ready)
	} else {
		err = x.server.ListenAndServe(ctx, "tcp", x.addr, x.ready)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return explainListen(x.addr, err)
}

// stopOnSignals ends the server in stages, a signal each.
func (x *site) stopOnSignals(term <-chan os.Signal, ended <-chan struct{}) {
	wait := func() bool {
		select {
		case <-x.s.interrupt:
		case <-term:
		case <-ended:
			return false
		}
		return true
	}
	if !wait() {
		return
	}
	x.health.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), x.grace)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if x.server.Shutdown(ctx) != nil {
			fmt.Fprintln(x.s.err, "rondo serve: requests that were still under way have been cut off")
		}
	}()
	const tell = 300 * time.Millisecond
	slow := time.AfterFunc(tell, func() {
		fmt.Fprintf(x.s.err, "rondo serve: requests under way have %v to end; a second signal cuts them off\n", x.grace)
	})
	defer slow.Stop()
	if wait() {
		cancel()
		x.server.Close()
	}
	<-done
}

// handler makes the handler of all requests.
func (x *site) handler(log *slog.Logger) (http.Handler, error) {
	var h http.Handler
	if x.upstream != nil {
		if h = x.proxy(log); !x.noCompress {
			h = rondohttp.Compress(h, rondohttp.CompressOptions{})
		}
	} else {
		o := rondohttp.FileOptions{List: !x.noList, Hidden: x.hidden, Compress: !x.noCompress, CacheControl: x.cacheControl}
		if x.spa {
			o.Fallback = "index.html"
		}
		if o.CacheControl == "" {
			o.CacheControl = "no-cache" // may be kept, but not used without asking
		}
		if x.liveReload {
			x.reload = newLiveReload(x.dir)
			o.Alter, o.Fresh = addReloadScript, 50*time.Millisecond
		}
		files, err := rondohttp.FileServer(x.dir, o)
		if err != nil {
			return nil, err
		}
		x.files = files
		h = files
	}
	route := &routes{rest: h, fixed: map[string]handler{}}
	if x.healthPath != "" {
		route.fixed[x.healthPath] = &x.health
	}
	if x.metricsPath != "" {
		x.metrics = rondohttp.NewMetrics()
		route.fixed[x.metricsPath] = x.metrics
	}
	if x.reload != nil {
		route.fixed[reloadEvents] = x.reload
		route.fixed[reloadScript] = reloadScriptHandler{}
	}
	h = route.handler()
	if x.metrics != nil {
		h = x.metrics.Wrap(h)
	}
	if format, ok := logFormats[x.logFormat]; ok {
		x.log = rondohttp.NewAccessLog(x.s.err, format)
		h = x.log.Wrap(h)
	}
	return h, nil
}

// logFormats are the values of --log but for none.
var logFormats = map[string]rondohttp.AccessFormat{
	"short": rondohttp.ShortLog, "common": rondohttp.CommonLog, "combined": rondohttp.CombinedLog, "json": rondohttp.JSONLog,
}

// routes are the handlers of a few fixed paths, and of the rest.
type routes struct {
	fixed map[string]handler
	rest  http.Handler
}

// A handler has both faces.
type handler interface {
	http.Handler
	Serve(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error
}

// handler returns a handler of the face that the rest has.
func (r *routes) handler() http.Handler {
	files, ok := r.rest.(*rondohttp.Files)
	if !ok {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if h := r.fixed[req.URL.Path]; h != nil {
				h.ServeHTTP(w, req)
				return
			}
			r.rest.ServeHTTP(w, req)
		})
	}
	return rondohttp.HandlerFunc(func(ctx context.Context, w *rondohttp.ServerResponse, req *rondohttp.ServerRequest) error {
		if h := r.fixed[string(req.Path())]; h != nil {
			return h.Serve(ctx, w, req)
		}
		return files.Serve(ctx, w, req)
	})
}

// ready tells where the server is.
func (x *site) ready(a net.Addr) {
	scheme := "http"
	if x.tls != nil {
		scheme = "https"
	}
	what := x.dir
	if x.upstream != nil {
		what = x.upstream.Redacted()
	} else if abs, err := filepath.Abs(x.dir); err == nil {
		what = abs
	}
	fmt.Fprintf(x.s.out, "Serving %s at\n", what)
	for _, host := range hostsOf(a) {
		fmt.Fprintf(x.s.out, "  %s://%s/\n", scheme, host)
	}
	if x.ca != "" {
		x.tellTrust(x.s.out, scheme+"://"+hostsOf(a)[0]+"/")
	}
}

// hostsOf returns where people reach a: all addresses of this machine, if it is the wildcard.
func hostsOf(a net.Addr) (all []string) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return []string{a.String()}
	}
	port := strconv.Itoa(t.Port)
	if !t.IP.IsUnspecified() {
		return []string{net.JoinHostPort(t.IP.String(), port)}
	}
	all = []string{net.JoinHostPort("localhost", port)}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() && (n.IP.To4() != nil || t.IP.To4() == nil) {
			all = append(all, net.JoinHostPort(n.IP.String(), port))
		}
	}
	return all
}

// explainListen says what can be done if err is of listening.
func explainListen(addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		who := "another program"
		if n, err := net.LookupPort("tcp", port); err == nil {
			if owner := portOwner(n); owner != "" {
				who = owner
			}
		}
		return fmt.Errorf("%s is taken by %s; end that, or choose another port: --addr 127.0.0.1:0 takes a free one (%w)", addr, who, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %s is for privileged programs; choose one from 1024 on, such as --addr :8080 (%w)", port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine; use 127.0.0.1, or none for all: --addr :%s (%w)", addr, port, err)
	}
	return err
}
