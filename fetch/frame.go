package fetch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The framing between rondo and a worker process, described for the authors of workers in docs/workers.md. Asked: one
// line of JSON, then as many bytes of body as its "bytes" says. Answered: one line of JSON.
//
//	{"url":"http://h/","status":200,"content_type":"text/html","bytes":5}\nhello
//	{"words":1}\n
//
// A length in front beats an end marker since bodies hold anything, and a line of JSON beats a binary header since
// every language reads it in one call.

// appendFrame appends the header of a body of n bytes.
func appendFrame(dst []byte, doc Document, n int) []byte {
	dst = append(dst, `{"url":`...)
	dst = appendString(dst, doc.URL)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(doc.Status), 10)
	dst = append(dst, `,"content_type":`...)
	dst = appendString(dst, doc.ContentType)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "}\n"...)
}

// maxFrameHeader bounds a frame's header line; a URL of the longest line of input fits, escaped.
const maxFrameHeader = 8 * maxLine

// readFrame reads the header of the next frame, after which its n bytes of body follow in r. At the end of input
// between frames it returns io.EOF.
func readFrame(r *bufio.Reader) (doc Document, n int64, err error) {
	line, err := readLine(r, nil, maxFrameHeader)
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return doc, 0, err
	}
	var h struct {
		URL         string `json:"url"`
		Status      int    `json:"status"`
		ContentType string `json:"content_type"`
		Bytes       *int64 `json:"bytes"`
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return doc, 0, fmt.Errorf("frame header: %w", err)
	}
	if h.Bytes == nil || *h.Bytes < 0 {
		return doc, 0, errors.New("frame header: no length in bytes")
	}
	return Document{URL: h.URL, Status: h.Status, ContentType: h.ContentType}, *h.Bytes, nil
}

var errLongLine = errors.New("line too long")

// readLine appends the next line to dst, without its end. It fails with errLongLine when there are more than limit
// bytes, and with the reader's error when the line does not end; dst then holds what there was.
func readLine(r *bufio.Reader, dst []byte, limit int) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		dst = append(dst, part...)
		if len(dst) > limit+1 {
			return dst, errLongLine
		}
		switch err {
		case nil:
			return dst[:len(dst)-1], nil
		case bufio.ErrBufferFull:
		default:
			return dst, err
		}
	}
}
