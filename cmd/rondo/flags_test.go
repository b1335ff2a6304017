package main

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFlagsAreRead(t *testing.T) {
	f, err := parseFetch(strings.Fields("http://a/ -i urls -c7 --per-host=3 --timeout 1m --retries 0 --user-agent me --cacert ca.pem " +
		"--max-body 1.5KiB --http1.1 -o out http://b/ --save dir --digest none --map cmd:cat --workers 2 --summary json"))
	if err != nil {
		t.Fatal(err)
	}
	want := &fetchFlags{input: "urls", concurrency: 7, perHost: 3, timeout: time.Minute, userAgent: "me", cacert: "ca.pem", http1: true, maxBody: 1536,
		header: http.Header{}, output: "out", save: "dir", digest: "none", stage: "cmd:cat", workers: 2, workerTime: 5 * time.Minute,
		summary: "json", urls: []string{"http://a/", "http://b/"}}
	if !reflect.DeepEqual(f, want) {
		t.Fatalf("\n got %+v\nwant %+v", f, want)
	}
	f, err = parseFetch([]string{"--header", "A: b: c", "--header=a:d", "--header", "X-Y:", "-i", "-"})
	if err != nil || !reflect.DeepEqual(f.header, http.Header{"A": {"b: c", "d"}, "X-Y": {""}}) {
		t.Fatal(f, err)
	}
	if f.output != "-" || f.concurrency != 100 || f.digest != "sha256" {
		t.Fatalf("defaults: %+v", f)
	}
}

func TestFlagErrorsNameTheFlagAndTheRemedy(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "no URLs; name some, or read them with -i FILE, or -i - from standard input",
		"-c":                             "-c: needs a value; use -c 100",
		"--http2 --http1.1 -i -":         "--http1.1: --http2 forbids it; leave one out, or both to let servers choose",
		"-c x -i -":                      `-c: invalid value "x"; use -c 100`,
		"-c 0 -i -":                      "-c: 0 is less than 1; use -c 100",
		"--per-host 0 -i -":              "--per-host: 0 is less than 1; use --per-host 4",
		"--retries -1 -i -":              "--retries: -1 is less than 0; use --retries 2",
		"--timeout 5 -i -":               `--timeout: invalid value "5"; use --timeout 30s`,
		"--timeout -5s -i -":             "--timeout, --worker-timeout: less than nothing; use --timeout 30s",
		"--max-body lots -i -":           `--max-body: invalid value "lots": not a size; use --max-body 10MB, 0 for no limit`,
		"--header X -i -":                `--header: invalid value "X": no colon; use --header 'Accept: text/html'`,
		"--digest md5 -i -":              `--digest: unknown value "md5"; use --digest sha256 or none`,
		"--summary xml -i -":             `--summary: unknown value "xml"; use --summary json or text`,
		"--map wrods -i -":               `--map: unknown value "wrods"; use --map words, links, title or 'cmd:COMMAND'`,
		"--map cmd: -i -":                "--map: no command after cmd:; use --map words, links, title or 'cmd:COMMAND'",
		"--isolate -i -":                 "--isolate: there is no stage to isolate; add --map words, links or title",
		"--isolate --map cmd:cat -i -":   "--isolate: cmd: runs in worker processes anyway; leave --isolate out",
		"--workers 2 -i -":               "--workers: no worker processes in this run; add --isolate, or --map cmd:COMMAND",
		"--workers 0 --map cmd:cat -i -": "--workers: 0 is less than 1; use --workers 2",
		"--cacert a --insecure -i -":     "--insecure: verifies nothing, so --cacert would be of no use; leave one out",
		"--sumary json -i -":             "--sumary: unknown flag; did you mean --summary? see rondo help fetch",
		"--frobnicate -i -":              "--frobnicate: unknown flag; rondo help fetch lists them",
		"-x -i -":                        "-x: unknown flag; rondo help fetch lists them",
		"example.com":                    `"example.com": not a URL with http:// or https:// in front`,
	} {
		_, err := parseFetch(strings.Fields(args))
		var bad *usageError
		if !errors.As(err, &bad) || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", args, err, want)
		}
	}
}

func TestFlagsHelpListsEveryFlag(t *testing.T) {
	_, err := parseFetch([]string{"--help"})
	var help *errHelp
	if !errors.As(err, &help) {
		t.Fatal(err)
	}
	for name := range example {
		if !strings.Contains(help.text, "--"+name) {
			t.Errorf("--%s is not in the help", name)
		}
	}
	for line := range strings.Lines(help.text) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "10MB": 10e6, "1.5k": 1500, "2GiB": 2 << 30, "3b": 3} {
		var v sizeValue
		if err := v.Set(s); err != nil || int64(v) != want {
			t.Errorf("%s: %d, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "-1", "x", "1Q", "NaN", "1e30", "MB", "1 MB"} {
		var v sizeValue
		if err := v.Set(s); err == nil {
			t.Errorf("%q: %d", s, v)
		}
	}
}
