package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Digest is the SHA-256 of one body after another, taken over chunks as they arrive. It belongs to one task.
type Digest struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// NewDigest returns a Digest ready for its first body.
func NewDigest() *Digest { return &Digest{h: sha256.New()} }

// Reset begins the next body.
func (d *Digest) Reset() { d.h.Reset() }

// Write adds a chunk.
func (d *Digest) Write(chunk []byte) { d.h.Write(chunk) }

// Sum returns the digest of the body so far, valid until the next call.
func (d *Digest) Sum() *[sha256.Size]byte {
	d.h.Sum(d.sum[:0])
	return &d.sum
}

// Check is a digest of many bodies that doesn't depend on their order: the sum modulo 2^64 of the first 8 bytes, big
// endian, of each body's SHA-256. The checks of several loops add up with +.
type Check uint64

// Add adds a body by its SHA-256.
func (c *Check) Add(sum *[sha256.Size]byte) { *c += Check(binary.BigEndian.Uint64(sum[:8])) }

// AppendText appends the check as 16 hex digits.
func (c Check) AppendText(dst []byte) ([]byte, error) {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[c>>shift&0xf])
	}
	return dst, nil
}

// String returns the check as 16 hex digits.
func (c Check) String() string {
	b, _ := c.AppendText(make([]byte, 0, 16))
	return string(b)
}
