// Package web serves routers that Go programs use by rondohttp.Server. It is a module of its own, so that their
// dependencies stay out of Rondo's.
package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/rondohttp"
)

// serve serves h until the test ends, and returns its URL.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := rondohttp.NewServer(h)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- rondo.Run(func(ctx context.Context) error {
			return s.ListenAndServe(ctx, "tcp", "127.0.0.1:0", func(a net.Addr) { ready <- "http://" + a.String() })
		}, rondo.WithoutSignals())
	}()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return <-ready
}

// routers have the same three routes each: a parameter, a JSON body, and a panic behind a recovering middleware.
func routers() map[string]http.Handler {
	type item struct {
		Name string `json:"name"`
	}
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(gin.RecoveryWithWriter(io.Discard))
	g.GET("/hello/:name", func(c *gin.Context) { c.String(200, "hello, %s", c.Param("name")) })
	g.POST("/items", func(c *gin.Context) {
		var x item
		if c.BindJSON(&x) == nil {
			c.JSON(201, x)
		}
	})
	g.GET("/panic", func(*gin.Context) { panic("boom") })

	c := chi.NewRouter()
	c.Use(middleware.RequestID, quietRecoverer)
	c.Get("/hello/{name}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello, "+chi.URLParam(r, "name")) })
	c.Post("/items", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		w.Write(b)
	})
	c.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })

	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { c.NoContent(500) }
	e.GET("/hello/:name", func(c echo.Context) error { return c.String(200, "hello, "+c.Param("name")) })
	e.POST("/items", func(c echo.Context) error {
		var x item
		if err := c.Bind(&x); err != nil {
			return err
		}
		return c.JSON(201, x)
	})
	e.GET("/panic", func(echo.Context) error { return errors.New("boom") })
	return map[string]http.Handler{"gin": g, "chi": c, "echo": e}
}

// quietRecoverer is chi's Recoverer without the print.
func quietRecoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(500)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func TestServerServesRouters(t *testing.T) {
	for name, h := range routers() {
		t.Run(name, func(t *testing.T) {
			url := serve(t, h)
			for range 3 {
				check := func(r *http.Response, err error, status int, body string) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(r.Body)
					r.Body.Close()
					if r.StatusCode != status || strings.TrimSpace(string(b)) != body || err != nil {
						t.Errorf("%d %q, %v", r.StatusCode, b, err)
					}
				}
				r, err := http.Get(url + "/hello/w%C3%B6rld")
				check(r, err, 200, "hello, wörld")
				r, err = http.Post(url+"/items", "application/json", strings.NewReader(`{"name":"a"}`))
				check(r, err, 201, `{"name":"a"}`)
				r, err = http.Get(url + "/panic")
				check(r, err, 500, "")
			}
		})
	}
}

func TestServerAnswersCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, r.Proto+" "+r.Method+" "+r.URL.Path+" "+string(b))
		w.Header().Set("X-Sum", "1")
	}))
	big := strings.Repeat("x", 2<<20)
	for _, c := range []struct {
		args []string
		in   string
		want string
	}{
		{[]string{url + "/a"}, "", "HTTP/1.1 GET /a "},
		{[]string{"-0", url + "/a"}, "", "HTTP/1.0 GET /a "},
		{[]string{url + "/a", url + "/b"}, "", "HTTP/1.1 GET /a HTTP/1.1 GET /b "},
		{[]string{"-d", "q=1", url + "/"}, "", "HTTP/1.1 POST / q=1"},
		{[]string{"-T", "-", url + "/up"}, big, "HTTP/1.1 PUT /up " + big},
		{[]string{"-H", "Expect: 100-continue", "--data-binary", "@-", url + "/e"}, big, "HTTP/1.1 POST /e " + big},
		{[]string{"-x", url, "http://example.org/proxied"}, "", "HTTP/1.1 GET /proxied "},
		{[]string{"--request-target", "*", "-X", "OPTIONS", url}, "", "HTTP/1.1 OPTIONS * "},
	} {
		cmd := exec.Command(curl, append([]string{"-sS", "--max-time", "20"}, c.args...)...)
		cmd.Stdin = strings.NewReader(c.in)
		out, err := cmd.CombinedOutput()
		if string(out) != c.want || err != nil {
			t.Errorf("curl %v: %.200q, %v", c.args, out, err)
		}
	}
}
