package rondotls

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// A certSource is where a certificate comes from.
type certSource interface{ current() *tls.Certificate }

type fixedCert struct{ c *tls.Certificate }

func (f fixedCert) current() *tls.Certificate { return f.c }

// checkEvery is how often files are looked at, at most.
const checkEvery = time.Second

// A certFiles is a certificate and its key in files. A handshake that finds them
// unchecked for a second has them checked on a goroutine, and goes on with what
// there is: so the next one has the new certificate, and none waits for a disk.
type certFiles struct {
	cert, key string
	now       atomic.Pointer[tls.Certificate]
	checked   atomic.Int64 // Unix nanoseconds
	checking  atomic.Bool
	stamp     [2]fileStamp // of what is loaded; of the checker
	said      string       // the last error reported; of the checker
}

type fileStamp struct {
	mod  time.Time
	size int64
}

func openCertFiles(cert, key string) (*certFiles, error) {
	f := &certFiles{cert: cert, key: key}
	if err := f.load(); err != nil {
		return nil, err
	}
	f.checked.Store(time.Now().UnixNano())
	return f, nil
}

func (f *certFiles) current() *tls.Certificate {
	now := time.Now().UnixNano()
	if now-f.checked.Load() >= int64(checkEvery) && f.checking.CompareAndSwap(false, true) {
		f.checked.Store(now)
		go f.check()
	}
	return f.now.Load()
}

func (f *certFiles) check() {
	defer f.checking.Store(false)
	err := f.load()
	if err == nil {
		f.said = ""
	} else if err.Error() != f.said {
		f.said = err.Error()
		slog.Warn("rondotls: keeping the old certificate", "err", err)
	}
}

// load reads the files if they have changed. Only what fits together replaces
// what there was.
func (f *certFiles) load() error {
	stamp, err := f.stamps()
	if err == nil && (f.now.Load() == nil || stamp != f.stamp) {
		var c tls.Certificate
		if c, err = tls.LoadX509KeyPair(f.cert, f.key); err == nil {
			f.now.Store(&c)
			f.stamp = stamp
		}
	}
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	return nil
}

func (f *certFiles) stamps() (s [2]fileStamp, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

// A certificates is what one side can show.
type certificates []certSource

// forClient implements tls.Config.GetCertificate.
func (cs certificates) forClient(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(cs) > 1 {
		for _, s := range cs {
			if c := s.current(); hello.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	return cs[0].current(), nil
}

// forServer implements tls.Config.GetClientCertificate.
func (cs certificates) forServer(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	for _, s := range cs {
		if c := s.current(); request.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return new(tls.Certificate), nil // none; whether the server insists is its affair
}
