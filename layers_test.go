package rondo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/rondo-go/rondo"

// layers is the module, lowest layer first. A package may import only packages of a lower row; one that lies
// below a listed package's folder (fetch/internal/x) belongs to its row and may be imported within that folder.
// "*" stands for one path element.
var layers = [][]string{
	{"internal/sys", "internal/getg"},
	{"coro"},
	{"poll"},
	{"poll/*"},
	{"loop"},
	{"."},
	{"internal/http1", "internal/http2core", "rondotls", "rondotls/mozilla", "pipeline", "pool", "file", "monitor", "connpool"},
	{"rondohttp"},
	{"rondotest", "rondohttp/websocket", "rondohttp/sse"},
	{"fetch"},
	{"cmd/*", "examples/*", "integration", "conformance/*"},
}

// only narrows a row further: all that the package may import of this module.
var only = map[string][]string{
	"coro": {"internal/getg"},
	"loop": {"internal/sys", "internal/getg", "coro", "poll"}, // which backend runs is the root's choice
}

// exclusive packages of other modules have one importer here, tests included.
var exclusive = map[string]string{"golang.org/x/sys/unix": "internal/sys"}

// heavy is what neither the root nor anything below it may bring into a program, however indirectly. Package net
// is not here: a Conn is made of it, and past what nearly every program holds (os, sync, time, context) it brings in
// net/netip, unique, weak and the vendored DNS message parser, no more. Nor is log/slog, which brings in encoding/json:
// whatever Rondo reports on its own goes through it.
var heavy = []string{
	"crypto/tls", "crypto/x509", "net/http", "encoding/xml", "encoding/gob", "text/template",
	"html/template", "go/ast", "database/sql", "expvar", "regexp", "testing",
}

// vague names say nothing of what a package holds.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "misc"}

// A listed package is what `go list` tells of one.
type listed struct {
	ImportPath   string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// rowOf returns the row of rel, a path relative to the module, and the folder that the row names.
func rowOf(rel string) (row int, home string, ok bool) {
	for dir := rel; ; dir = path.Dir(dir) {
		for row, names := range layers {
			for _, name := range names {
				if match, _ := path.Match(name, dir); match && (dir != "." || rel == ".") {
					return row, dir, true
				}
			}
		}
		if dir == "." {
			return 0, "", false
		}
	}
}

// relative returns imp as a path relative to the module, "." for its root.
func relative(imp string) (string, bool) {
	if imp == modulePath {
		return ".", true
	}
	return strings.CutPrefix(imp, modulePath+"/")
}

// layerFaults returns what breaks the rules above in pkgs, one line each.
func layerFaults(pkgs []listed) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	rootRow, _, _ := rowOf(".")
	for _, p := range pkgs {
		rel, _ := relative(p.ImportPath)
		if slices.Contains(vague, path.Base(rel)) || slices.Contains(vague, p.Name) {
			fault("%s: a vague name", rel)
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if owner, ok := exclusive[imp]; ok && rel != owner {
				fault("%s imports %s: only %s may", rel, imp, owner)
			}
		}
		row, home, ok := rowOf(rel)
		if !ok {
			fault("%s: in no layer", rel)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := relative(imp)
			if !ours {
				continue
			}
			toRow, toHome, ok := rowOf(to)
			narrow, narrowed := only[home]
			switch {
			case !ok:
				fault("%s imports %s: in no layer", rel, to)
			case toHome == home:
			case toRow >= row:
				fault("%s imports %s: not downward", rel, to)
			case narrowed && !slices.Contains(narrow, to):
				fault("%s imports %s: it may import only %v", rel, to, narrow)
			}
		}
		if row > rootRow || strings.HasSuffix(rel, "test") { // a test kit, such as poll/polltest, needs testing
			continue
		}
		for _, dep := range p.Deps {
			if slices.Contains(heavy, dep) {
				fault("%s brings in %s: too heavy", rel, dep)
			}
		}
	}
	return faults
}

// listPackages returns every package of the module as built for goos with tags.
func listPackages(t *testing.T, goos, tags string) (pkgs []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-tags", tags,
		"-json=ImportPath,Name,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestLayersImportOnlyDownward(t *testing.T) {
	for _, c := range []struct{ goos, tags string }{
		{"linux", ""}, {"linux", "rondo_hub"}, {"darwin", ""}, {"windows", ""},
	} {
		t.Run(c.goos+"/"+c.tags, func(t *testing.T) {
			pkgs := listPackages(t, c.goos, c.tags)
			if !slices.ContainsFunc(pkgs, func(p listed) bool { return p.ImportPath == modulePath+"/coro" }) {
				t.Fatal("go list does not show coro: nothing was checked")
			}
			for _, fault := range layerFaults(pkgs) {
				t.Error(fault)
			}
		})
	}
}

func TestLayersFaultsAreFound(t *testing.T) {
	in := func(rel string, imports ...string) listed {
		for i, imp := range imports {
			if to, ours := strings.CutPrefix(imp, "./"); ours {
				imports[i] = modulePath + "/" + to
			} else if imp == "." {
				imports[i] = modulePath
			}
		}
		return listed{ImportPath: path.Join(modulePath, rel), Name: path.Base(rel), Imports: imports}
	}
	for _, c := range []struct {
		pkg  listed
		want string // the one fault, "" for none
	}{
		{in("loop", "context", "./coro", "./poll"), ""},
		{in("loop", "./poll/epoll"), "loop imports poll/epoll: it may import only"},
		{in("loop", "."), "loop imports .: not downward"},
		{in("poll", "./poll/epoll"), "poll imports poll/epoll: not downward"},
		{in("poll/epoll", "./poll", "./internal/sys"), ""},
		{in("poll/epoll", "./poll/uring"), "poll/epoll imports poll/uring: not downward"},
		{in("coro", "iter", "./internal/getg"), ""},
		{in("coro", "./internal/sys"), "coro imports internal/sys: it may import only"},
		{in(".", "./loop", "./poll/epoll"), ""},
		{in(".", "./rondotls"), ". imports rondotls: not downward"},
		{in("fetch", "./fetch/internal/frame", "./rondohttp"), ""},
		{in("fetch/internal/frame", "./fetch"), ""},
		{in("rondohttp", "./fetch/internal/frame"), "rondohttp imports fetch/internal/frame: not downward"},
		{in("cmd/rondo", "./fetch", "."), ""},
		{in("internal/other"), "internal/other: in no layer"},
		{in("loop", "./internal/other"), "loop imports internal/other: in no layer"},
		{in("pool", "golang.org/x/sys/unix"), "pool imports golang.org/x/sys/unix: only internal/sys may"},
		{in("internal/sys", "golang.org/x/sys/unix"), ""},
		{listed{ImportPath: modulePath + "/loop", XTestImports: []string{"golang.org/x/sys/unix"}},
			"loop imports golang.org/x/sys/unix: only internal/sys may"},
		{listed{ImportPath: modulePath, Deps: []string{"net", "crypto/tls"}}, ". brings in crypto/tls: too heavy"},
		{listed{ImportPath: modulePath + "/rondotls", Deps: []string{"crypto/tls"}}, ""},
		{listed{ImportPath: modulePath + "/poll/polltest", Deps: []string{"testing"}}, ""},
		{in("pool/common"), "pool/common: a vague name"},
		{listed{ImportPath: modulePath + "/pool", Name: "util"}, "pool: a vague name"},
	} {
		faults := layerFaults([]listed{c.pkg})
		switch {
		case c.want == "" && len(faults) > 0:
			t.Errorf("%+v: unexpected faults %q", c.pkg, faults)
		case c.want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0], c.want)):
			t.Errorf("%+v: faults %q, want one that starts %q", c.pkg, faults, c.want)
		}
	}
}
