package fetch

import (
	"bufio"
	"fmt"
	"io"
)

// ServeWorker is a worker process for a built-in stage: it reads frames from r and answers on w, until r ends between
// two frames.
func ServeWorker(r io.Reader, w io.Writer, stage Stage) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var out []byte
	for {
		doc, n, err := readFrame(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("worker: read: %w", err)
		}
		stage.Reset(doc)
		for n > 0 {
			if in.Buffered() == 0 {
				if _, err := in.Peek(1); err != nil {
					return fmt.Errorf("worker: read body: %w", noEOF(err))
				}
			}
			chunk, _ := in.Peek(int(min(n, int64(in.Buffered()))))
			stage.Write(chunk)
			n -= int64(len(chunk))
			_, _ = in.Discard(len(chunk))
		}
		out = append(stage.AppendResult(out[:0]), '\n')
		if _, err := w.Write(out); err != nil {
			return fmt.Errorf("worker: answer: %w", err)
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
