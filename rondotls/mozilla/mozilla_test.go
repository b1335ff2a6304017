package mozilla

import (
	"testing"

	"crypto/x509"
)

func TestRootsAreMany(t *testing.T) {
	n := len(Roots().Subjects()) //nolint:staticcheck // the pool is not the system's
	if n < 100 {
		t.Errorf("%d roots", n)
	}
	if !Roots().Equal(Roots()) {
		t.Error("not the same twice")
	}
	Roots().AddCert(&x509.Certificate{Raw: []byte("x")})
	if got := len(Roots().Subjects()); got != n { //nolint:staticcheck // see above
		t.Errorf("changed by a caller: %d roots", got)
	}
}
