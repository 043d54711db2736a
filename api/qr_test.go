package api_test

import (
	"bytes"
	"encoding/xml"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// scan reads a picture as a phone does.
func scan(t *testing.T, picture image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatalf("no QR code found: %v", err)
	}
	return result.GetText()
}

// modules is a drawing of true for light, every module of it eight pixels wide.
type modules [][]bool

func (m modules) ColorModel() color.Model { return color.GrayModel }
func (m modules) Bounds() image.Rectangle { return image.Rect(0, 0, 8*len(m[0]), 8*len(m)) }

func (m modules) At(x, y int) color.Color {
	if m[y/8][x/8] {
		return color.White
	}
	return color.Black
}

// parseHalfBlocks looks at text as a dark terminal shows it.
func parseHalfBlocks(t *testing.T, text string) modules {
	t.Helper()
	var m modules
	for line := range strings.Lines(text) {
		var upper, lower []bool
		for _, r := range strings.TrimSuffix(line, "\n") {
			lights, ok := map[rune][2]bool{'█': {true, true}, '▀': {true, false}, '▄': {false, true}, ' ': {false, false}}[r]
			if !ok {
				t.Fatalf("%q is no half block", r)
			}
			upper, lower = append(upper, lights[0]), append(lower, lights[1])
		}
		m = append(m, upper, lower)
	}
	return m
}

var svgRun = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)

func parseSVG(t *testing.T, body []byte) modules {
	t.Helper()
	var drawing struct {
		ViewBox string `xml:"viewBox,attr"`
		Path    struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(body, &drawing); err != nil {
		t.Fatal(err)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	side := number(strings.Fields(drawing.ViewBox)[2])
	m := make(modules, side)
	for y := range m {
		m[y] = make([]bool, side)
		for x := range m[y] {
			m[y][x] = true
		}
	}
	if rest := svgRun.ReplaceAllString(drawing.Path.D, ""); rest != "" {
		t.Fatalf("the path is not only runs: %q", rest)
	}
	for _, run := range svgRun.FindAllStringSubmatch(drawing.Path.D, -1) {
		for x := range number(run[3]) {
			m[number(run[2])][number(run[1])+x] = false
		}
	}
	return m
}

func TestQR_IsReadBackInEveryForm(t *testing.T) {
	if len(theQR.Code) < 280 {
		t.Fatalf("want a code as long as WhatsApp's, got %d bytes", len(theQR.Code))
	}
	b := setup(t)
	c := b.connect("default")
	qr := freshQR()
	b.must(b.own(c).ShowQR(t.Context(), qr))
	read := map[string]func(a *answer) string{
		"image/png": func(a *answer) string {
			picture, err := png.Decode(bytes.NewReader(a.body))
			b.must(err)
			return scan(t, picture)
		},
		"image/svg+xml":             func(a *answer) string { return scan(t, parseSVG(t, a.body)) },
		"text/plain; charset=utf-8": func(a *answer) string { return scan(t, parseHalfBlocks(t, string(a.body))) },
		"application/json": func(a *answer) string {
			var got enlace.QR
			a.decode(&got)
			if got != qr {
				t.Errorf("want %+v, got %+v", qr, got)
			}
			return got.Code
		},
	}
	for accept, want := range map[string]string{
		"":                                     "image/png",
		"*/*":                                  "image/png",
		"image/*":                              "image/png",
		"image/png":                            "image/png",
		"image/svg+xml":                        "image/svg+xml",
		"text/plain":                           "text/plain; charset=utf-8",
		"Text/Plain; charset=UTF8":             "text/plain; charset=utf-8",
		"application/json":                     "application/json",
		"application/json, */*;q=0.5":          "application/json",
		"image/png;q=0.2, image/svg+xml;q=0.9": "image/svg+xml",
		"image/png;q=0, */*":                   "image/svg+xml",
		"text/html, text/*;q=0.3":              "text/plain; charset=utf-8",
		"text/html,application/xml;q=0.9,*/*;q=0.8": "image/png",
	} {
		a := b.get(pathOf(c)+"/qr", "Accept", accept).wants(http.StatusOK)
		a.wantsHeader("Content-Type", want).wantsHeader("Cache-Control", "private, no-store").wantsHeader("Vary", "Accept").wantsHeader("Retry-After", "1")
		if got := read[want](a); got != qr.Code {
			t.Errorf("Accept %q: want %q read back, got %q", accept, qr.Code, got)
		}
	}
	for _, accept := range []string{"text/html", "image/webp", "image/png;q=0", "application/*;q=0"} {
		b.get(pathOf(c)+"/qr", "Accept", accept).wantsProblem(http.StatusNotAcceptable, enlace.CodeNotAcceptable)
	}
	b.do(request{path: pathOf(c) + "/qr", key: b.keys[store.Viewer]}).wantsProblem(http.StatusForbidden, enlace.CodeForbidden)
}

func TestQR_SaysWhyThereIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		arrange    func(*store.Owner) error
		says       string
		retryAfter string
	}{
		"not there yet": {func(*store.Owner) error { return nil }, "on its way", "1"},
		"expired": {func(o *store.Owner) error {
			qr := theQR
			qr.ExpiresAt = time.Now().Add(-time.Second)
			return o.ShowQR(t.Context(), qr)
		}, "expired", "1"},
		"pairing code": {func(o *store.Owner) error { return o.ShowPairingCode(t.Context(), "ABCD-EFGH") }, "pairing code", "1"},
		"passkey": {func(o *store.Owner) error {
			return o.ShowPasskey(t.Context(), enlace.Passkey{Code: "ABCD", ExpiresAt: time.Now().Add(time.Minute)})
		}, "passkey", "1"},
		"cannot be reached": {func(o *store.Owner) error {
			return o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{Attempt: 1, NextAt: time.Now()}, nil)
		}, "tried again", "1"},
		"active": {func(o *store.Owner) error { return o.Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}) }, "active", "30"},
		"reconnecting": {func(o *store.Owner) error {
			if err := o.Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}); err != nil {
				return err
			}
			return o.Reconnecting(t.Context(), enlace.ReasonNetwork, enlace.Reconnect{Attempt: 1, NextAt: time.Now()}, nil)
		}, "reconnecting (network)", "1"},
		"timed out": {func(o *store.Owner) error { return o.Inactive(t.Context(), enlace.ReasonQRTimeout) }, "inactive (qr_timeout)", "30"},
		"banned":    {func(o *store.Owner) error { return o.Failed(t.Context(), enlace.ReasonBanned, nil, nil) }, "error (banned)", "30"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			c := b.connect("default")
			b.must(test.arrange(b.own(c)))
			a := b.get(pathOf(c)+"/qr").wantsProblem(http.StatusNotFound, enlace.CodeNoQR).wantsHeader("Retry-After", test.retryAfter)
			if !strings.Contains(string(a.body), test.says) {
				t.Errorf("want it to say %q, got %s", test.says, a.body)
			}
		})
	}
}

func TestQR_FollowsTheChannel(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	for _, code := range []string{"first", "second"} {
		qr := freshQR()
		qr.Code = code
		b.must(owner.ShowQR(t.Context(), qr))
		a := b.get(pathOf(c)+"/qr", "Accept", "text/plain").wants(http.StatusOK)
		if got := scan(t, parseHalfBlocks(t, string(a.body))); got != code {
			t.Errorf("want %s, got %s", code, got)
		}
	}
}
