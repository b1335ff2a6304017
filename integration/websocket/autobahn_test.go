package websocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
	"github.com/rondo-go/rondo/rondohttp/websocket"
)

// quick is the cases that take little time: all of the protocol, and of compression a few.
const quick = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*,12.1.1,12.1.2,12.1.3,12.2.1,12.4.1,13.1.1,13.2.1,13.3.1,13.4.1,13.5.1,13.6.1,13.7.1"

// A report is the index of the suite's report: the cases of one agent.
type report map[string]map[string]struct {
	Behavior      string
	BehaviorClose string
}

// wstest returns the program of the suite, $WSTEST, and the cases, $AUTOBAHN_CASES.
func wstest(t *testing.T) (program string, cases []string) {
	program = os.Getenv("WSTEST")
	if program == "" {
		t.Skip("no Autobahn test suite: set WSTEST to its program wstest, or run make autobahn")
	}
	list := os.Getenv("AUTOBAHN_CASES")
	if list == "" {
		list = quick
	}
	return program, strings.Split(list, ",")
}

// options are those that the cases want.
var options = &websocket.Options{
	Compression:  &websocket.Compression{ContextTakeover: true, Threshold: 1},
	MessageLimit: 64 << 20,
	CloseTimeout: 2 * time.Second,
}

// judge reads a report, and fails the test for each case that is not as it should be.
func judge(t *testing.T, dir, agent string) {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for id, c := range r[agent] {
		counts[c.Behavior]++
		if c.Behavior != "OK" && c.Behavior != "INFORMATIONAL" || c.BehaviorClose != "OK" && c.BehaviorClose != "INFORMATIONAL" {
			t.Errorf("case %s: %s, close: %s (%s)", id, c.Behavior, c.BehaviorClose, dir)
		}
	}
	if counts["OK"] == 0 {
		t.Fatalf("no case of %q has passed in %s", agent, dir)
	}
	t.Logf("%s: %d cases, %v", agent, len(r[agent]), counts)
}

// reports returns where the suite's report goes: $AUTOBAHN_REPORTS, or nowhere to stay.
func reports(t *testing.T, name string) string {
	if dir := os.Getenv("AUTOBAHN_REPORTS"); dir != "" {
		return filepath.Join(dir, name)
	}
	return t.TempDir()
}

// spec writes the suite's instructions.
func spec(t *testing.T, v map[string]any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, options)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for m, err := range c.Messages(r.Context()) {
		if err != nil || c.Write(r.Context(), m.Type, m.Data) != nil {
			return
		}
	}
}

func echoNative(ctx context.Context, w *rondohttp.ServerResponse, r *rondohttp.ServerRequest) error {
	c, err := websocket.AcceptNative(w, r, options)
	if err != nil {
		return nil // it has been answered
	}
	c.OnMessage(func(ctx context.Context, c *websocket.Conn, m websocket.Message) error {
		return c.Write(ctx, m.Type, m.Data)
	}, nil)
	return nil
}

// serve runs a server beside f.
func serve(ctx context.Context, h http.Handler, f func(ctx context.Context, address string) error) error {
	s := rondohttp.NewServer(h)
	return rondo.WithGroup(ctx, func(g *rondo.Group) error {
		ready := rondo.NewFuture[net.Addr]()
		g.Go(func(ctx context.Context) error {
			if err := s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { ready.Set(a) }); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		a, err := ready.Await(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		return f(ctx, a.String())
	})
}

func TestAutobahnServer(t *testing.T) {
	program, cases := wstest(t)
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"server-task", http.HandlerFunc(echo)},
		{"server-resting", rondohttp.HandlerFunc(echoNative)},
		{"server-goroutine", rondohttp.OffLoop(http.HandlerFunc(echo))},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := reports(t, c.name)
			err := rondo.Run(func(ctx context.Context) error {
				return serve(ctx, c.h, func(ctx context.Context, address string) error {
					s := spec(t, map[string]any{
						"outdir": dir, "cases": cases, "exclude-cases": []string{}, "exclude-agent-cases": map[string]any{},
						"servers": []any{map[string]any{"agent": c.name, "url": "ws://" + address}},
					})
					_, err := rondo.ToThread(ctx, func() (any, error) {
						out, err := exec.Command(program, "-m", "fuzzingclient", "-s", s).CombinedOutput()
						if err != nil {
							err = fmt.Errorf("%w: %s", err, out[max(0, len(out)-2000):])
						}
						return nil, err
					})
					return err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			judge(t, dir, c.name)
		})
	}
}

func TestAutobahnClient(t *testing.T) {
	program, cases := wstest(t)
	dir := reports(t, "client")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := spec(t, map[string]any{
		"outdir": dir, "cases": cases, "exclude-cases": []string{}, "exclude-agent-cases": map[string]any{},
		"url": "ws://" + address,
	})
	var out bytes.Buffer
	cmd := exec.Command(program, "-m", "fuzzingserver", "-s", s, "-u", "0")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { cmd.Process.Kill(); cmd.Wait() }
	defer end()
	err = rondo.Run(func(ctx context.Context) error {
		session := rondohttp.NewSession()
		defer session.Close()
		count := 0
		for tries := 0; ; tries++ {
			c, err := websocket.Dial(ctx, session, "ws://"+address+"/getCaseCount", nil)
			if err == nil {
				m, err := c.Read(ctx)
				if err != nil {
					return err
				}
				count, err = strconv.Atoi(string(m.Data))
				if err != nil {
					return err
				}
				c.Close(ctx, websocket.StatusNormal, "")
				break
			}
			if tries == 100 {
				return err
			}
			rondo.Sleep(ctx, 100*time.Millisecond) // another process starts, in real time
		}
		for i := 1; i <= count; i++ {
			c, err := websocket.Dial(ctx, session, fmt.Sprintf("ws://%s/runCase?case=%d&agent=client", address, i), options)
			if err != nil {
				return fmt.Errorf("case %d: %w", i, err)
			}
			for m, err := range c.Messages(ctx) {
				if err != nil || c.Write(ctx, m.Type, m.Data) != nil {
					break
				}
			}
			c.CloseNow()
		}
		c, err := websocket.Dial(ctx, session, "ws://"+address+"/updateReports?agent=client", nil)
		if err != nil {
			return err
		}
		for range c.Messages(ctx) {
		}
		return nil
	})
	if err != nil {
		end()
		t.Fatalf("%v; the suite says: %s", err, out.Bytes())
	}
	judge(t, dir, "client")
}
