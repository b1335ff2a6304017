package rondotls

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondo-go/rondo"
)

// tool returns the path of a program that the test needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: %s is not installed", name)
	}
	return path
}

// certDir returns a directory with cert.pem, key.pem and ca.pem.
func certDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := dev().WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A client of openssl is echoed, asks for new keys in between, and says goodbye.
func TestServerWithOpenSSLClient(t *testing.T) {
	openssl, dir := tool(t, "openssl"), certDir(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			serveWith(t, func(ctx context.Context, c *Conn) error {
				_, err := io.Copy(c, c)
				return err
			}, func(ctx context.Context, addr string) error {
				_, err := rondo.ToThread(ctx, func() (struct{}, error) {
					return struct{}{}, talkToOpenSSL(t, exec.Command(openssl, "s_client", "-connect", addr, version,
						"-CAfile", filepath.Join(dir, "ca.pem"), "-verify_return_error", "-servername", "localhost"), version == "-tls1_3")
				})
				return err
			})
		})
	}
}

func talkToOpenSSL(t *testing.T, cmd *exec.Cmd, update bool) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	// Real time: so that a test of another program fails and does not hang.
	defer time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }).Stop()
	lines := bufio.NewScanner(out)
	expect := func(want string) error {
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return nil
			}
		}
		return fmt.Errorf("no %q from openssl", want)
	}
	say := func(s string) error {
		io.WriteString(in, s+"\n")
		return expect(s)
	}
	if err := expect("Verify return code: 0 (ok)"); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	if err := say("hello from openssl"); err != nil {
		return err
	}
	if update {
		for range 3 {
			io.WriteString(in, "K\n") // an update of both sides' keys
			if err := expect("KEYUPDATE"); err != nil {
				return err
			}
			if err := say("with new keys"); err != nil {
				return err
			}
		}
	}
	io.WriteString(in, "Q\n")
	in.Close()
	return cmd.Wait()
}

func TestServerWithCurl(t *testing.T) {
	curl, dir := tool(t, "curl"), certDir(t)
	body := strings.Repeat("0123456789", 100_000)
	serveWith(t, func(ctx context.Context, c *Conn) error {
		in := bufio.NewReader(c)
		for {
			if line, err := in.ReadString('\n'); err != nil {
				return err
			} else if line == "\r\n" {
				break
			}
		}
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
		return err
	}, func(ctx context.Context, addr string) error {
		got, err := rondo.ToThread(ctx, func() ([]byte, error) {
			return exec.Command(curl, "-sS", "--noproxy", "*", "--cacert", filepath.Join(dir, "ca.pem"), "https://"+addr).CombinedOutput()
		})
		if err != nil || string(got) != body {
			return fmt.Errorf("curl got %d bytes, %v: %.200s", len(got), err, got)
		}
		return nil
	})
}

func TestClientWithOpenSSLServer(t *testing.T) {
	openssl, dir := tool(t, "openssl"), certDir(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	ln.Close()
	cmd := exec.Command(openssl, "s_server", "-accept", addr, "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"), "-rev")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "ACCEPT") {
			break
		}
	}
	go io.Copy(io.Discard, out)
	cfg := clientConfig(t)
	run(t, func(ctx context.Context) error {
		for i := range 3 {
			c, err := Dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", port), cfg)
			if err != nil {
				return err
			}
			io.WriteString(c, "stressed\n")
			got, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || got != "desserts\n" {
				return fmt.Errorf("got %q, %v", got, err)
			}
			if resumed := c.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("connection %d: resumed %v", i, resumed)
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// crypto/tls on net, as client and as server.
func TestConnWithCryptoTLS(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	body := strings.Repeat("0123456789", 50_000)
	exchange := func(c net.Conn) error {
		defer c.Close()
		go io.WriteString(c, body)
		got := make([]byte, len(body))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != body {
			return fmt.Errorf("%d bytes, %v", len(got), err)
		}
		return nil
	}
	serveWith(t, func(ctx context.Context, c *Conn) error {
		_, err := io.Copy(c, c)
		return err
	}, func(ctx context.Context, addr string) error {
		_, err := rondo.ToThread(ctx, func() (struct{}, error) {
			c, err := tls.Dial("tcp", addr, client)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, exchange(c)
		})
		return err
	})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	run(t, func(ctx context.Context) error {
		c, err := Dial(ctx, "tcp", ln.Addr().String(), client)
		if err != nil {
			return err
		}
		defer c.Close()
		writer := rondo.Spawn(ctx, func(context.Context) (int, error) { return io.WriteString(c, body) })
		got := make([]byte, len(body))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != body {
			return fmt.Errorf("%d bytes, %v", len(got), err)
		}
		_, err = writer.Await(ctx)
		return err
	})
}
