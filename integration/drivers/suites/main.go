//go:build linux

// Suites runs the test suites of pgx and of go-redis themselves over Rondo's connections, against servers that it
// starts. The libraries are copied from the module cache, whose files cannot be overlaid, and built with `go test
// -overlay`, which replaces the one file that has the default dialer. Each suite runs twice: with the connections used
// off the loop, and with each read and write made by a task on it.
//
// What is left out, and why, is said at each suite below.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rondo-go/rondo/integration/drivers/server"
)

// A suite is a library with its tests.
type suite struct {
	name   string
	module string
	// edits are replacements of text in files of the library, by file; each must be found.
	edits map[string][]edit
	start func() (*server.Server, []string, []edit, error)
	pkgs  []string
	flags []string
}

type edit struct{ old, new string }

const dialer = `"github.com/rondo-go/rondo/integration/dialer"`

var suites = []suite{{
	name:   "pgx",
	module: "github.com/jackc/pgx/v5",
	edits: map[string][]edit{"pgconn/config.go": {
		{"import (\n", "import (\n\t" + dialer + "\n"},
		{"func makeDefaultDialer() *net.Dialer {", "func makeDefaultDialer() *dialer.Dialer {"},
		{"return &net.Dialer{}", "return &dialer.Dialer{}"},
	}},
	start: startPostgres,
	// pgtype's own tests are of codecs, a thousand queries of one value: they are the longest, and show no more of a
	// connection than the others do. Tests that want CockroachDB, PgBouncer, OAuth or certificates skip themselves.
	pkgs: []string{".", "./pgconn", "./pgconn/internal/bgreader", "./pgxpool", "./stdlib"},
}, {
	name:   "go-redis",
	module: "github.com/redis/go-redis/v9",
	edits: map[string][]edit{"options.go": {
		{"import (\n", "import (\n\t" + dialer + "\n"},
		{"return netDialer.DialContext(ctx, network, addr)", "return (&dialer.Dialer{Timeout: opt.DialTimeout}).DialContext(ctx, network, addr)"},
	}},
	start: startRedis,
	pkgs:  []string{"."},
	// What one plain server of version 7.0 can run: no cluster, ring or sentinel, none of the modules (JSON, search, time
	// series, vectors), no client-side cache. Skipped besides: what needs 7.2 (WAITAOF, CLIENT SETINFO, ranks with a score),
	// a configuration file or a module to load.
	flags: []string{"-v", "-run=^TestGinkgoSuite$",
		"-ginkgo.focus=^go-redis (Commands|Client|pool|PubSub|pipelining|races|Tx|ScanIterator|Pipeline) ",
		"-ginkgo.skip=WaitAOF|ClientSetInfo|RankWithScore|ConfigRewrite|fail module loadex"},
}}

func main() {
	only := flag.String("only", "", "run this suite alone")
	flag.Parse()
	var errs []error
	for _, s := range suites {
		if *only == "" || *only == s.name {
			if err := s.run(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func startPostgres() (*server.Server, []string, []edit, error) {
	s, err := server.Postgres()
	if err != nil {
		return nil, nil, nil, err
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return s, nil, nil, err
	}
	for _, sql := range []string{"create database pgx_test", "alter role scram superuser"} {
		if err := s.Exec(sql); err != nil {
			return s, nil, nil, err
		}
	}
	if err := s.ExecIn("pgx_test", `create extension hstore; create extension ltree; create domain uint64 as numeric(20,0);
		create user " tricky, ' } "" \\ test user " superuser password 'secret'`); err != nil {
		return s, nil, nil, err
	}
	return s, []string{
		fmt.Sprintf("PGX_TEST_DATABASE=host=%s port=%s user=postgres dbname=pgx_test sslmode=disable", host, port),
		fmt.Sprintf("PGX_TEST_TCP_CONN_STRING=host=%s port=%s user=postgres dbname=pgx_test sslmode=disable", host, port),
		fmt.Sprintf("PGX_TEST_UNIX_SOCKET_CONN_STRING=host=%s port=%s user=postgres dbname=pgx_test", s.Dir, port),
		fmt.Sprintf("PGX_TEST_SCRAM_PASSWORD_CONN_STRING=host=%s port=%s user=scram password=secret dbname=pgx_test sslmode=disable", host, port),
		fmt.Sprintf("PGX_TEST_TLS_CONN_STRING=host=%s port=%s user=scram password=secret dbname=pgx_test sslmode=verify-full sslrootcert=%s",
			host, port, filepath.Join(s.Dir, "root.pem")),
	}, nil, nil
}

func startRedis() (*server.Server, []string, []edit, error) {
	s, err := server.Redis("--enable-debug-command", "yes", "--latency-monitor-threshold", "100")
	if err != nil {
		return nil, nil, nil, err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	// In this mode the suite wants neither a cluster nor sentinels nor a ring of further servers.
	return s, []string{"RE_CLUSTER=true", "REDIS_VERSION=7.0"},
		[]edit{{`redisStackPort = "6379"`, `redisStackPort = "` + port + `"`}}, err
}

func (s *suite) run() error {
	dir, err := os.MkdirTemp("", "rondo-suite-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lib, err := s.copyLibrary(filepath.Join(dir, "lib"))
	if err != nil {
		return err
	}
	srv, env, testEdits, err := s.start()
	if srv != nil {
		defer srv.Close()
	}
	if errors.Is(err, server.ErrMissing) && os.Getenv("CI") != "true" {
		fmt.Printf("=== %s is SKIPPED: %v\n", s.name, err)
		return nil
	} else if err != nil {
		return err
	}
	edits := map[string][]edit{"main_test.go": testEdits}
	for name, e := range s.edits {
		edits[name] = e
	}
	overlay, err := writeOverlay(dir, lib, edits)
	if err != nil {
		return err
	}
	var errs []error
	for _, mode := range []string{"goroutines", "tasks"} {
		mark := filepath.Join(dir, "mark-"+mode)
		args := append([]string{"test", "-mod=mod", "-overlay=" + overlay, "-count=1", "-timeout=5m"}, s.pkgs...)
		cmd := exec.Command("go", append(args, s.flags...)...)
		cmd.Dir = lib
		cmd.Env = append(append(os.Environ(), env...), "RONDO_DIALER="+mode, "RONDO_DIALER_MARK="+mark)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		fmt.Printf("=== %s, by %s\n", s.name, mode)
		begun := time.Now()
		err := cmd.Run()
		if err == nil {
			if _, merr := os.Stat(mark); merr != nil {
				err = errors.New("no connection was Rondo's")
			}
		}
		fmt.Printf("=== %s, by %s: %v, error %v\n", s.name, mode, time.Since(begun).Round(time.Second), err)
		if err != nil {
			errs = append(errs, fmt.Errorf("by %s: %w", mode, err))
		}
	}
	return errors.Join(errs...)
}

// copyLibrary copies the library to lib, where its module gets Rondo, that of this checkout, as a requirement.
func (s *suite) copyLibrary(lib string) (string, error) {
	from, err := output("", "go", "list", "-m", "-f", "{{.Dir}}", s.module)
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(lib, os.DirFS(from)); err != nil {
		return "", err
	}
	// In the module cache files cannot be written to, and so cannot their copies.
	for _, name := range []string{".", "go.mod", "go.sum"} {
		if err := os.Chmod(filepath.Join(lib, name), 0o755); err != nil {
			return "", err
		}
	}
	rondo, err := output("", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/rondo-go/rondo")
	if err != nil {
		return "", err
	}
	_, err = output(lib, "go", "mod", "edit", "-go=1.26.0", "-require=github.com/rondo-go/rondo@v0.0.0",
		"-replace=github.com/rondo-go/rondo="+rondo)
	return lib, err
}

// writeOverlay writes the edited files and the overlay's JSON to dir, and returns the name of that.
func writeOverlay(dir, lib string, edits map[string][]edit) (string, error) {
	replace := make(map[string]string)
	for name, list := range edits {
		if len(list) == 0 {
			continue
		}
		old := filepath.Join(lib, name)
		text, err := os.ReadFile(old)
		if err != nil {
			return "", err
		}
		changed := string(text)
		for _, e := range list {
			if !strings.Contains(changed, e.old) {
				return "", fmt.Errorf("%s: no %q: the library has changed", name, e.old)
			}
			changed = strings.Replace(changed, e.old, e.new, 1)
		}
		replace[old] = filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(replace[old], []byte(changed), 0o644); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o644)
}

func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
