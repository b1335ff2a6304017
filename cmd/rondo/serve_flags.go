package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// serveFlags is the command line of rondo serve.
type serveFlags struct {
	addr         string
	tls          bool
	cert, key    string
	noList       bool
	noCompress   bool
	hidden       bool
	spa          bool
	cacheControl string
	liveReload   bool
	logFormat    string
	metricsPath  string
	healthPath   string
	loops        int
	grace        time.Duration
	preserveHost bool
	insecure     bool
	timeout      time.Duration

	dir      string
	upstream *url.URL // nil: dir is served
}

// serveExample shows how a flag is used, where its value was wrong.
var serveExample = map[string]string{
	"addr": "--addr 127.0.0.1:8080, or --addr :8080 for every address of this machine", "cert": "--cert cert.pem", "key": "--key key.pem",
	"cache-control": "--cache-control 'max-age=3600'", "log": "--log short, common, combined, json or none", "metrics": "--metrics, or --metrics=/metrics",
	"health": "--health /healthz", "loops": "--loops 2", "grace": "--grace 10s", "timeout": "--timeout 1m",
}

const serveUsage = `usage: rondo serve [flags] [DIR|URL]

Serves the files in DIR, by default the current folder, or passes requests on to the web server at URL.

  rondo serve                                    # this folder, on http://127.0.0.1:8080/
  rondo serve --live-reload site                 # pages load anew when a file in site changes
  rondo serve --tls --addr :8443 public          # https with a certificate of its own, for the network
  rondo serve --addr :80 --metrics http://127.0.0.1:3000

%s
^C or SIGTERM: no new connections, requests under way are answered for as long as --grace; a second one ends at once.
Exit status: 0 ended by a signal, 1 it could not serve, 2 the command line is wrong.
`

func parseServe(args []string) (*serveFlags, error) {
	f := new(serveFlags)
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.StringVarP(&f.addr, "addr", "a", "127.0.0.1:8080", "listen on `HOST:PORT`; :PORT is every address of this machine, port 0 a free one")
	fs.BoolVar(&f.tls, "tls", false, "https, with a certificate for development that is made once and kept, unless --cert names another")
	fs.StringVar(&f.cert, "cert", "", "the certificate in `FILE` (PEM, issuers behind it), read anew when it changes; implies --tls")
	fs.StringVar(&f.key, "key", "", "its key, in `FILE`")
	fs.BoolVar(&f.noList, "no-list", false, "do not list folders that have no index.html")
	fs.BoolVar(&f.noCompress, "no-compress", false, "do not compress; x.br, x.zst and x.gz beside a file x are served in its stead all the same")
	fs.BoolVar(&f.hidden, "hidden", false, "serve names that begin with a dot, too")
	fs.BoolVar(&f.spa, "spa", false, "index.html for pages that do not exist, for applications that route in the browser")
	fs.StringVar(&f.cacheControl, "cache-control", "", "send this `VALUE` of Cache-Control with files (default no-cache: may be kept, but not used without asking)")
	fs.BoolVar(&f.liveReload, "live-reload", false, "pages load anew when a file changes: a script is added to HTML")
	fs.StringVar(&f.logFormat, "log", "short", "a line a request on standard error, as `FORMAT` says: short, common, combined, json or none")
	fs.StringVar(&f.metricsPath, "metrics", "", "metrics for Prometheus at `PATH`")
	fs.Lookup("metrics").NoOptDefVal = "/metrics"
	fs.StringVar(&f.healthPath, "health", "/healthz", "answer at `PATH` with 200, or 503 while shutting down; \"\" for nowhere")
	fs.IntVar(&f.loops, "loops", 1, "`N` event loops, each with a thread")
	fs.DurationVar(&f.grace, "grace", 10*time.Second, "`TIME` that requests under way have when it is told to end")
	fs.BoolVar(&f.preserveHost, "preserve-host", false, "URL: send it the client's Host instead of its own")
	fs.BoolVar(&f.insecure, "insecure", false, "URL: do not verify its certificate")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "URL: `TIME` until it begins to answer, and between parts of the answer; 0 for none")

	err := fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return nil, &errHelp{fmt.Sprintf(serveUsage, fs.FlagUsagesWrapped(119))}
	}
	if err != nil {
		return nil, explain(fs, err)
	}
	return f, f.check(fs)
}

// check says what is wrong with values that parse.
func (f *serveFlags) check(fs *pflag.FlagSet) error {
	_, port, err := net.SplitHostPort(f.addr)
	switch {
	case err != nil && strings.Trim(f.addr, "0123456789") == "" && f.addr != "":
		return badUsage("--addr: %q has no colon; use --addr 127.0.0.1:%s, or --addr :%s for every address of this machine", f.addr, f.addr, f.addr)
	case err != nil:
		return badUsage("--addr: %q is not HOST:PORT; use %s", f.addr, serveExample["addr"])
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return badUsage("--addr: %q is no port; use %s", port, serveExample["addr"])
	}
	switch f.logFormat {
	case "short", "common", "combined", "json", "none":
	default:
		return badUsage("--log: unknown value %q; use %s", f.logFormat, serveExample["log"])
	}
	switch {
	case f.loops < 1 || f.loops > 1024:
		return badUsage("--loops: %d; use %s", f.loops, serveExample["loops"])
	case f.grace < 0:
		return badUsage("--grace: less than nothing; use %s", serveExample["grace"])
	case f.timeout < 0:
		return badUsage("--timeout: less than nothing; use %s", serveExample["timeout"])
	case (f.cert == "") != (f.key == ""):
		return badUsage("--cert and --key go together: the certificate, and the key that is its own")
	case fs.NArg() > 1:
		return badUsage("one DIR or URL at a time; there are %d", fs.NArg())
	}
	for name, p := range map[string]string{"metrics": f.metricsPath, "health": f.healthPath} {
		if p != "" && !strings.HasPrefix(p, "/") {
			return badUsage("--%s: %q does not begin with a slash; use %s", name, p, serveExample[name])
		}
	}
	f.tls = f.tls || f.cert != ""
	f.dir = "."
	if fs.NArg() == 1 {
		f.dir = fs.Arg(0)
	}
	if strings.Contains(f.dir, "://") {
		return f.checkUpstream(fs)
	}
	for _, name := range []string{"preserve-host", "insecure", "timeout"} {
		if fs.Changed(name) {
			return badUsage("--%s is for requests that are passed on to a URL; %s is a folder", name, f.dir)
		}
	}
	return f.checkFolder()
}

func (f *serveFlags) checkUpstream(fs *pflag.FlagSet) error {
	u, err := url.Parse(f.dir)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return badUsage("%q is no URL to pass requests on to; use one such as http://127.0.0.1:3000", f.dir)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return badUsage("%q: leave out what follows the path", f.dir)
	}
	for _, name := range []string{"no-list", "hidden", "spa", "cache-control", "live-reload"} {
		if fs.Changed(name) {
			return badUsage("--%s is for the files of a folder; %s is a URL", name, f.dir)
		}
	}
	f.upstream = u
	return nil
}

func (f *serveFlags) checkFolder() error {
	info, err := os.Stat(f.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if strings.Contains(f.dir, ":") {
			return badUsage("%s: there is no such folder; if it is a web server, write http://%s", f.dir, f.dir)
		}
		return badUsage("%s: there is no such folder", f.dir)
	case err != nil:
		return badUsage("%v", err)
	case !info.IsDir():
		return badUsage("%s: is a file, not a folder; its folder is %s", f.dir, filepath.Dir(f.dir))
	}
	return nil
}
