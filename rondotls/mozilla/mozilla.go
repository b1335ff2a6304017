// Package mozilla holds Mozilla's list of root certificates, for machines and
// containers without one of their own. It is a package apart because it adds 150
// KB to a program.
package mozilla

import (
	"crypto/x509"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Roots returns the certificates, for rondotls.WithRoots. The list is as old as
// the version of golang.org/x/crypto/x509roots/fallback in the program: keep that
// up to date.
func Roots() *x509.CertPool { return roots().Clone() }

var roots = sync.OnceValue(func() *x509.CertPool {
	pool := x509.NewCertPool()
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			continue // crypto/x509 has become stricter than the list
		}
		if r.Constraint == nil {
			pool.AddCert(c)
		} else {
			pool.AddCertWithConstraint(c, r.Constraint)
		}
	}
	return pool
})
