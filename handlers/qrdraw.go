package handlers

import (
	"bytes"
	"fmt"
	"reflect"

	"rsc.io/qr"

	"github.com/enlacehq/enlace"
)

// The forms of a QR code, the preferred one first.
const (
	typePNG  = "image/png"
	typeSVG  = "image/svg+xml"
	typeText = "text/plain; charset=utf-8"
	typeJSON = "application/json"
)

var (
	qrTypes = []string{typePNG, typeSVG, typeText, typeJSON}
	qrType  = reflect.TypeFor[enlace.QR]()
)

// The light margin around a code, in modules. The standard asks for four; in a
// terminal, where room is scarce, two are enough for phones.
const (
	margin     = 4
	textMargin = 2
)

// drawing is a QR code as dark and light modules.
type drawing struct{ code *qr.Code }

// draw encodes text at the lowest error correction, which WhatsApp's own codes
// have too: a screen is not torn or stained, and fewer modules scan better.
func draw(text string) (drawing, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return drawing{}, fmt.Errorf("draw a QR code of %d bytes: %w", len(text), err)
	}
	return drawing{code}, nil
}

// png is the code with eight pixels a module.
func (d drawing) png() []byte { return d.code.PNG() }

// svg is the code as one path on a white ground, one unit a module.
func (d drawing) svg() []byte {
	side := d.code.Size + 2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" shape-rendering="crispEdges">`, side, side, 8*side, 8*side)
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/><path d="`)
	for y := range d.code.Size {
		for x := 0; x < d.code.Size; x++ {
			from := x
			for d.code.Black(x, y) {
				x++
			}
			if run := x - from; run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+margin, y+margin, run, run)
			}
		}
	}
	b.WriteString(`"/></svg>` + "\n")
	return b.Bytes()
}

// text is the code in half blocks, two modules above each other in a character.
// Blocks are the light modules, so that it is right on a dark terminal.
func (d drawing) text() []byte {
	halves := [2][2]string{{"█", "▀"}, {"▄", " "}} // [upper is dark][lower is dark]
	var b bytes.Buffer
	for y := -textMargin; y < d.code.Size+textMargin; y += 2 {
		for x := -textMargin; x < d.code.Size+textMargin; x++ {
			b.WriteString(halves[dark(d.code, x, y)][dark(d.code, x, y+1)])
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// dark is 1 for a dark module. Outside the code all is light.
func dark(code *qr.Code, x, y int) int {
	if code.Black(x, y) {
		return 1
	}
	return 0
}
