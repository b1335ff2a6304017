//go:build linux

package integration

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// TestSlowClientsStopNobody attacks a server with slowhttptest: heads that never end, bodies that trickle in, and answers that are
// hardly read. Others are served meanwhile, and when the limits are over the slow connections are gone. It takes real time.
func TestSlowClientsStopNobody(t *testing.T) {
	tool := needs(t, "slowhttptest")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("x", 16<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := rondohttp.FileServer(dir, rondohttp.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /", files)
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	const limit = 2 * time.Second
	srv := rondohttp.NewServer(mux, rondohttp.WithServerLimits(rondohttp.ServerLimits{Header: limit, Body: limit, Write: limit, Idle: limit}))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return srv.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { ready <- a.String() })
		}, rondo.WithoutSignals())
	}()
	url := "http://" + <-ready
	defer func() {
		srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	const attackers = "150"
	for mode, args := range map[string][]string{
		"headers": {"-H", "-i", "1"},
		"bodies":  {"-B", "-i", "1", "-s", "100000", "-x", "10"},
		"reading": {"-X", "-n", "1", "-z", "32", "-w", "512", "-y", "1024"},
	} {
		t.Run(mode, func(t *testing.T) {
			attack := exec.Command(tool, append(args, "-c", attackers, "-r", "150", "-l", "12", "-p", "3", "-u", url+"/large")...)
			if err := attack.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				attack.Process.Kill()
				attack.Wait()
			}()
			most, worst := 0, time.Duration(0)
			gone := false
			tr := &http.Transport{DisableKeepAlives: true}
			client := &http.Client{Transport: tr, Timeout: 5 * time.Second}
			for began := time.Now(); time.Since(began) < 11*time.Second && !gone; time.Sleep(50 * time.Millisecond) {
				at := time.Now()
				r, err := client.Get(url + "/hello")
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				worst = max(worst, time.Since(at))
				n := srv.Connections()
				most = max(most, n)
				gone = most > 50 && n <= 5
			}
			t.Logf("%d connections at most, slowest answer to others %v", most, worst)
			if most < 50 {
				t.Error("there was no attack")
			}
			if !gone {
				t.Errorf("%d connections are left after the limits", srv.Connections())
			}
			if worst > time.Second {
				t.Errorf("others waited for %v", worst)
			}
		})
	}
}
