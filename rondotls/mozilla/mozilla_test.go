package mozilla

import (
	"testing"

	"crypto/x509"
)

func TestRootsAreMany(t *testing.T) {
	//lint:ignore SA1019 the pool is not the system's
	n := len(Roots().Subjects())
	if n < 100 {
		t.Errorf("%d roots", n)
	}
	if !Roots().Equal(Roots()) {
		t.Error("not the same twice")
	}
	Roots().AddCert(&x509.Certificate{Raw: []byte("x")})
	//lint:ignore SA1019 the pool is not the system's
	if got := len(Roots().Subjects()); got != n {
		t.Errorf("changed by a caller: %d roots", got)
	}
}
