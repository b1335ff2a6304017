package rondohttp

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// basic returns the value of Authorization for user, which is user:password (RFC 7617).
func basic(user string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
}

// A netrc holds the logins of a .netrc file (its format: ftp(1)).
type netrc struct {
	machines map[string]string // user:password
	other    string            // the default's
}

// lookup returns user:password for host, "" if there is none. n may be nil.
func (n *netrc) lookup(host string) string {
	if n == nil {
		return ""
	}
	if user, ok := n.machines[strings.ToLower(host)]; ok {
		return user
	}
	return n.other
}

// readNetrc reads the file at path; "" is $NETRC, or else .netrc in the home directory. A
// file that does not exist is an empty one, unless the caller named it.
func readNetrc(path string) (*netrc, error) {
	named := path != ""
	if !named {
		path = os.Getenv("NETRC")
	}
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return new(netrc), nil
		}
		path = filepath.Join(home, ".netrc")
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return new(netrc), nil
	}
	if err != nil {
		return nil, err
	}
	return parseNetrc(string(b)), nil
}

// parseNetrc parses a .netrc file. As every reader of such files it skips what it does not know. The first
// entry of a machine counts.
func parseNetrc(s string) *netrc {
	n := &netrc{machines: map[string]string{}}
	var machine, login, password string
	open, any := false, false
	flush := func() {
		switch {
		case !open || login == "" && password == "":
		case any:
			if n.other == "" {
				n.other = login + ":" + password
			}
		default:
			if _, ok := n.machines[machine]; !ok {
				n.machines[machine] = login + ":" + password
			}
		}
		machine, login, password, open, any = "", "", "", false, false
	}
	macro := false
	var value func(string) // takes the next word
	for line := range strings.Lines(s) {
		words := netrcWords(line)
		if macro { // a macro's text ends with an empty line
			macro = len(words) > 0
			continue
		}
		for _, w := range words {
			if value != nil {
				value(w)
				value = nil
				continue
			}
			switch w {
			case "machine":
				flush()
				value = func(w string) { machine, open = strings.ToLower(w), true }
			case "default":
				flush()
				open, any = true, true
			case "login":
				value = func(w string) { login = w }
			case "password":
				value = func(w string) { password = w }
			case "account":
				value = func(string) {}
			case "macdef":
				flush()
				macro = true
			}
			if macro {
				break
			}
		}
	}
	flush()
	return n
}

// netrcWords splits a line at its spaces, but those in double quotes, and drops a comment.
func netrcWords(line string) (words []string) {
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		switch {
		case line == "" || line[0] == '#':
			return words
		case line[0] == '"':
			var b strings.Builder
			i := 1
			for ; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' && i+1 < len(line) {
					i++
				}
				b.WriteByte(line[i])
			}
			words = append(words, b.String())
			line = line[min(i+1, len(line)):]
		default:
			i := strings.IndexAny(line, " \t\r\n")
			if i < 0 {
				i = len(line)
			}
			words = append(words, line[:i])
			line = line[i:]
		}
	}
}
