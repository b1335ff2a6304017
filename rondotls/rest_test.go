package rondotls

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// serveWith runs a server of h while fn runs.
func serveWith(t testing.TB, h Handler, fn func(ctx context.Context, addr string) error, opts ...ConnOption) {
	t.Helper()
	cfg := serverConfig(t)
	run(t, func(ctx context.Context) error {
		ln, err := rondo.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := rondo.NewServer(Handle(cfg, h, opts...), rondo.WithErrorHandler(func(_ *rondo.Conn, err error) { t.Errorf("handler: %v", err) }))
		served := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, server.Serve(ctx, ln) })
		ferr := fn(ctx, ln.Addr().String())
		server.Close()
		server.CloseClients()
		if _, err := served.Await(ctx); !errors.Is(err, rondo.ErrServerClosed) {
			return err
		}
		return ferr
	})
}

func TestConnRestsBetweenMessages(t *testing.T) {
	calls := 0
	h := func(ctx context.Context, c *Conn) error {
		calls++
		buf := make([]byte, 4)
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
		return c.Rest(nil)
	}
	for _, opts := range [][]ConnOption{nil, {WithUnwrap()}} {
		calls = 0
		serveWith(t, h, func(ctx context.Context, addr string) error {
			c, err := Dial(ctx, "tcp", addr, clientConfig(t))
			if err != nil {
				return err
			}
			defer c.Close()
			buf := make([]byte, 4)
			for i := range 10 {
				if i%2 == 0 {
					rondo.Sleep(ctx, time.Millisecond) // so that it rests
				}
				want := fmt.Sprintf("%04d", i)
				io.WriteString(c, want)
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
					return fmt.Errorf("got %q, %v", buf, err)
				}
			}
			// Several messages in one record, and several records in one segment:
			// what crypto/tls holds already makes nobody wait for more.
			io.WriteString(c, strings.Repeat("abcd", 50))
			got := make([]byte, 200)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.Repeat("abcd", 50) {
				return fmt.Errorf("got %q, %v", got, err)
			}
			c.wr.enter()
			for range 50 {
				c.tls.Write([]byte("efgh"))
			}
			err = c.wire.drain()
			c.leaveWriter(err)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.Repeat("efgh", 50) {
				return fmt.Errorf("got %q, %v", got, err)
			}
			if calls < 110 {
				t.Errorf("the handler was called %d times", calls)
			}
			c.CloseWrite()
			if n, err := c.Read(buf); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
			return nil
		}, opts...)
	}
}

// restingClients, in the environment, makes this test a client that holds so
// many connections to an address.
const restingClients = "RONDOTLS_TEST_CLIENTS"

func TestMain(m *testing.M) {
	if to := os.Getenv(restingClients); to != "" {
		holdConnections(to)
		return
	}
	os.Exit(m.Run())
}

func holdConnections(to string) {
	var n int
	addr := to
	fmt.Sscanf(to, "%d@%s", &n, &addr)
	cfg, err := ClientConfig(WithInsecureSkipVerify(), WithoutResumption())
	if err == nil {
		err = rondo.Run(func(ctx context.Context) error {
			for range n {
				c, err := Dial(ctx, "tcp", addr, cfg)
				if err != nil {
					return err
				}
				io.WriteString(c, "ping")
				if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
					return err
				}
			}
			fmt.Println("ready")
			bufio.NewReader(os.Stdin).ReadString('\n')
			return nil
		})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// What a connection costs that has answered one message and rests.
func TestConnAtRestIsSmall(t *testing.T) {
	const n = 300
	most := int64(18 << 10)
	if os.Getenv("RONDO_POLLER") == "portable" {
		most += 36 << 10 // a goroutine that reads, and its buffer
	}
	for name, h := range map[string]Handler{
		"at rest": func(ctx context.Context, c *Conn) error {
			buf := make([]byte, 4)
			if _, err := io.ReadFull(c, buf); err != nil {
				return err
			}
			if _, err := c.Write(buf); err != nil {
				return err
			}
			return c.Rest(nil)
		},
		"in a task": func(ctx context.Context, c *Conn) error {
			buf := make([]byte, 4)
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					return err
				}
				if _, err := c.Write(buf); err != nil {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			serveWith(t, h, func(ctx context.Context, addr string) error {
				before := memory()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d@%s", restingClients, n, addr))
				in, err := cmd.StdinPipe()
				if err != nil {
					return err
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					return err
				}
				if err := cmd.Start(); err != nil {
					return err
				}
				_, err = rondo.ToThread(ctx, func() (struct{}, error) {
					line, err := bufio.NewReader(out).ReadString('\n')
					if line != "ready\n" {
						return struct{}{}, fmt.Errorf("clients: %q, %v", line, err)
					}
					return struct{}{}, nil
				})
				each := (int64(memory()) - int64(before)) / n
				t.Logf("%d bytes a connection", each)
				if name == "at rest" && each > most && !raceEnabled {
					t.Errorf("a connection at rest takes %d bytes, not at most %d", each, most)
				}
				in.Close()
				_, werr := rondo.ToThread(ctx, func() (struct{}, error) { return struct{}{}, cmd.Wait() })
				return errors.Join(err, werr)
			})
		})
	}
}
