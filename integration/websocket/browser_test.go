package websocket

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rondo-go/rondo"

	"github.com/rondo-go/rondo/rondohttp/sse"
	"github.com/rondo-go/rondo/rondohttp/websocket"
)

//go:embed browser.html
var page []byte

// browser returns Chromium's program.
func browser(t *testing.T) string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no browser: install chromium (Debian's package), or set CHROMIUM")
	return ""
}

// Numbers sends three events a connection, numbered.
func numbers(w http.ResponseWriter, r *http.Request) {
	s, err := sse.NewStream(w, r)
	if err != nil {
		return
	}
	last, _ := strconv.Atoi(s.LastID())
	s.Send(sse.Event{Retry: 10 * time.Millisecond})
	s.Comment("a comment")
	for i := last + 1; i <= last+3; i++ {
		s.Send(sse.Event{Type: "number", ID: strconv.Itoa(i), Data: "number\n" + strconv.Itoa(i)})
	}
}

func TestBrowser(t *testing.T) {
	program := browser(t)
	result := rondo.NewFuture[map[string]any]()
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	mux.HandleFunc("/numbers", numbers)
	mux.HandleFunc("/result", func(_ http.ResponseWriter, r *http.Request) {
		var v map[string]any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		result.Set(v)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.Options{
			Subprotocols: []string{"echo"}, Compression: &websocket.Compression{ContextTakeover: true},
		})
		if err != nil {
			t.Error(err)
			return
		}
		c.OnMessage(func(ctx context.Context, c *websocket.Conn, m websocket.Message) error {
			if string(m.Data) == "bye" {
				return &websocket.CloseError{Code: 4000, Reason: "bye yourself"}
			}
			return c.Write(ctx, m.Type, m.Data)
		}, nil)
	})
	err := rondo.Run(func(ctx context.Context) error {
		return serve(ctx, mux, func(ctx context.Context, address string) error {
			dir := t.TempDir()
			cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
				"--disable-extensions", "--disable-background-networking", "--user-data-dir="+dir, "--remote-debugging-port=0", "http://"+address+"/")
			if err := cmd.Start(); err != nil {
				return err
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			v, err := rondo.WaitFor(ctx, result, time.Minute) // a browser starts in real time
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("the browser has not told a result")
			}
			if err != nil {
				return err
			}
			for name, want := range map[string]any{
				"protocol": "echo", "extensions": "permessage-deflate", "text": true, "binary": true, "large": true,
				"close": "4000 bye yourself true", "numbers": "1,2,3,4,5,6,7", "error": nil,
			} {
				if v[name] != want {
					t.Errorf("%s: %v, want %v", name, v[name], want)
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
