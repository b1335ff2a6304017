package rondohttp

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// NewJar returns an empty cookie jar that knows the public suffixes, so that no site sets cookies for
// all of .co.uk. Any [http.CookieJar] will do as well.
func NewJar() http.CookieJar {
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		panic(err) // it has none to return
	}
	return jar
}

// cookies returns x's fields but for Cookie, and that line: what the request itself says, unless it has
// been sent to another origin, and what the jar has for x's URL.
func (x *exchange) cookies() (fields, line string) {
	fields = x.fields.open
	value := ""
	if !x.open {
		value = x.fields.cookie
		fields = x.fields.all
		if value != "" {
			fields = strings.TrimSuffix(fields, cookieLine(value))
		}
	}
	u, err := url.Parse(x.url)
	if err != nil {
		return fields, "" // a plain URL that was split by hand is no less valid
	}
	var b strings.Builder
	b.WriteString(value)
	for _, c := range x.s.jar.Cookies(u) {
		s := (&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted}).String()
		if s == "" {
			continue // not a name or a value that can be sent
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s)
	}
	if b.Len() == 0 {
		return fields, ""
	}
	return fields, cookieLine(b.String())
}

func cookieLine(value string) string { return "Cookie: " + value + "\r\n" }

// keepCookies hands the cookies of r to the jar.
func (r *Response) keepCookies() {
	u, err := url.Parse(r.url)
	if err != nil {
		return
	}
	if set := r.Cookies(); len(set) > 0 {
		r.s.jar.SetCookies(u, set)
	}
}

// Cookies returns the cookies that r sets. Like [Response.Header] it is to be called before Close.
func (r *Response) Cookies() []*http.Cookie {
	return (&http.Response{Header: r.Header()}).Cookies()
}
