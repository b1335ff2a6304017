package rondotls

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A record reader passes everything on, and no Read crosses the end of a record.
func FuzzRecordReader(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x05hello\x15\x03\x03\x00\x02\x01\x00plain text follows"), byte(3), byte(7))
	f.Add([]byte("\x17\x03\x03\x00\x00\x17\x03\x03\xff\xff"), byte(0), byte(255))
	f.Add([]byte("\x17\x03"), byte(1), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, chunk, size byte) {
		rest := data
		retry := errors.New("again")
		calls := 0
		r := &recordReader{from: func(p []byte) (int, error) {
			if calls++; calls%5 == 0 {
				return 0, retry // canceled
			}
			if len(rest) == 0 {
				return 0, io.EOF
			}
			n := copy(p[:min(len(p), int(chunk)+1)], rest)
			rest = rest[n:]
			return n, nil
		}}
		end := 0 // of the present record
		at := 0
		p := make([]byte, int(size)+1)
		for {
			if at == end {
				if len(data)-at >= recordHeader {
					end = at + recordHeader + int(data[at+3])<<8 + int(data[at+4])
				} else {
					end = len(data)
				}
			}
			n, err := r.Read(p)
			if !bytes.Equal(p[:n], data[at:at+n]) {
				t.Fatalf("%q at %d, want %q", p[:n], at, data[at:at+n])
			}
			if at += n; at > end {
				t.Fatalf("read to %d, past the record's end %d", at, end)
			}
			if err == io.EOF {
				break
			} else if err != nil && err != retry || err == nil && n == 0 {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if at != len(data) {
			t.Fatalf("%d of %d bytes were passed on", at, len(data))
		}
	})
}

func FuzzParsePin(f *testing.F) {
	f.Add("sha256:00:11")
	f.Add("sha256//AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePin(s)
		if err != nil && p != (pin{}) {
			t.Errorf("%q: %x, %v", s, p, err)
		}
	})
}
