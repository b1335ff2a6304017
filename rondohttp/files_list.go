package rondohttp

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// A listed is a line of a listing.
type listed struct {
	Name     string    `json:"name"`
	Folder   bool      `json:"folder,omitempty"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// mostListed bounds a listing.
const mostListed = 10_000

// list answers with what is in a folder, ordered by the query: sort=name, size or time, and order=desc.
func (f *Files) list(ctx context.Context, x filesExchange, e *filesEntry, query string) error {
	all, more, err := f.readFolder(ctx, e.name)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return failFile(x, statusOf(err))
	}
	q, _ := url.ParseQuery(query)
	by, down := q.Get("sort"), q.Get("order") == "desc"
	slices.SortStableFunc(all, func(a, b listed) int {
		if a.Folder != b.Folder { // folders first, whatever the order
			if a.Folder {
				return -1
			}
			return 1
		}
		n := 0
		switch by {
		case "size":
			n = cmp.Compare(a.Size, b.Size)
		case "time":
			n = a.Modified.Compare(b.Modified)
		}
		if n == 0 {
			n = strings.Compare(a.Name, b.Name)
		}
		if down {
			return -n
		}
		return n
	})
	x.set("Vary", "Accept")
	x.set("Cache-Control", "no-cache")
	x.set("X-Content-Type-Options", "nosniff")
	var page []byte
	if prefers(x.get("Accept"), "application/json", "text/html") {
		x.set("Content-Type", "application/json")
		if page, err = json.MarshalIndent(all, "", "  "); err != nil {
			return err
		}
		page = append(page, '\n')
	} else {
		x.set("Content-Type", "text/html; charset=utf-8")
		x.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'")
		page = listingPage(e.name, all, more, by, down)
		if f.o.Alter != nil {
			page = f.o.Alter(page)
		}
	}
	x.begin(http.StatusOK, int64(len(page)))
	if x.method() == http.MethodHead {
		return nil
	}
	_, err = x.Write(page)
	return err
}

// readFolder returns what may be seen of a folder, and whether there is more.
func (f *Files) readFolder(ctx context.Context, name string) (all []listed, more bool, err error) {
	all, err = offLoop(ctx, func() ([]listed, error) {
		entries, err := fs.ReadDir(f.fsys, name)
		if err != nil {
			return nil, err
		}
		all := make([]listed, 0, min(len(entries), mostListed))
		for _, d := range entries {
			if strings.HasPrefix(d.Name(), ".") && !f.o.Hidden {
				continue
			}
			info, err := d.Info()
			if d.Type()&fs.ModeSymlink != 0 && err == nil {
				info, err = fs.Stat(f.fsys, path.Join(name, d.Name())) // one that leads out does not exist
			}
			if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
				continue
			}
			if len(all) == mostListed {
				more = true
				break
			}
			l := listed{Name: d.Name(), Folder: info.IsDir(), Modified: info.ModTime().UTC().Truncate(time.Second)}
			if !l.Folder {
				l.Size = info.Size()
			}
			all = append(all, l)
		}
		return all, nil
	})
	return all, err == nil && more, err
}

const listingStyle = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.2rem;font-weight:600;word-break:break-all}table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;border-bottom:1px solid #8888}th,td{padding:.25rem .75rem .25rem 0}
td.n{word-break:break-all}.s,.t{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}
a{text-decoration:none}a:hover{text-decoration:underline}tr:hover td{background:#8881}`

// listingPage is a listing for people.
func listingPage(name string, all []listed, more bool, by string, down bool) []byte {
	shown := "/"
	if name != "." {
		shown += name + "/"
	}
	title := html.EscapeString(shown)
	b := make([]byte, 0, 1<<10+len(all)*160)
	b = fmt.Appendf(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"+
		"<title>%s</title>\n<style>\n%s\n</style>\n</head>\n<body>\n<h1>%s</h1>\n<table>\n<thead><tr>", title, listingStyle, crumbs(name))
	for _, c := range []struct{ key, class, text string }{{"name", "n", "Name"}, {"size", "s", "Size"}, {"time", "t", "Modified"}} {
		order, arrow := "asc", ""
		if by == c.key || by == "" && c.key == "name" {
			arrow = " ↑"
			if down {
				arrow = " ↓"
			} else {
				order = "desc"
			}
		}
		b = fmt.Appendf(b, `<th class="%s"><a href="?sort=%s&amp;order=%s">%s</a>%s</th>`, c.class, c.key, order, c.text, arrow)
	}
	b = append(b, "</tr></thead>\n<tbody>\n"...)
	if name != "." {
		b = append(b, "<tr><td class=\"n\"><a href=\"../\">../</a></td><td></td><td></td></tr>\n"...)
	}
	for _, l := range all {
		// "./" keeps a name with a colon from being a scheme.
		href, text, size := "./"+url.PathEscape(l.Name), l.Name, ""
		if l.Folder {
			href, text = href+"/", text+"/"
		} else {
			size = humanSize(l.Size)
		}
		when := ""
		if l.Modified.Unix() > 0 {
			when = l.Modified.Format("2006-01-02 15:04")
		}
		b = fmt.Appendf(b, "<tr><td class=\"n\"><a href=\"%s\">%s</a></td><td class=\"s\">%s</td><td class=\"t\">%s</td></tr>\n",
			html.EscapeString(href), html.EscapeString(text), size, when)
	}
	b = append(b, "</tbody>\n</table>\n"...)
	switch {
	case more:
		b = fmt.Appendf(b, "<p>Only the first %d names are shown.</p>\n", mostListed)
	case len(all) == 0:
		b = append(b, "<p>This folder is empty.</p>\n"...)
	}
	return append(b, "</body>\n</html>\n"...)
}

// crumbs is the path of a folder, with a link to each one above it.
func crumbs(name string) string {
	if name == "." {
		return "/"
	}
	parts := strings.Split(name, "/")
	out := `<a href="` + strings.Repeat("../", len(parts)) + `">/</a>`
	for i, p := range parts {
		if up := len(parts) - 1 - i; up > 0 {
			out += fmt.Sprintf(`<a href="%s">%s</a>/`, strings.Repeat("../", up), html.EscapeString(p))
		} else {
			out += html.EscapeString(p) + "/"
		}
	}
	return out
}

func humanSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.5 && unit < len("kMGTPE")-1 {
		v /= 1000
		unit++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %cB", v, "kMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f %cB", v, "kMGTPE"[unit])
}
