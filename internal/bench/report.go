package main

import (
	_ "embed"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/template"
	"time"
)

// report is what the page shows.
type report struct {
	Machine string
	Rounds  int
	Took    time.Duration
	Rows    []row
	Micro   []string
}

//go:embed page.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

func (r report) page() string {
	var b strings.Builder
	err := pageTemplate.Execute(&b, map[string]any{
		"Report": r, "Table": r.table(), "Notes": r.notes(), "Missed": r.missed(),
	})
	if err != nil {
		panic(err) // the template is embedded and runs in the tests
	}
	return b.String()
}

// table is the figures as a Markdown table.
func (r report) table() string {
	var b strings.Builder
	b.WriteString("| figure | against | enlace | raw | | ratio | aim | met |\n")
	b.WriteString("| --- | --- | ---: | ---: | --- | ---: | --- | --- |\n")
	for _, w := range r.Rows {
		met := "yes"
		if !w.met() {
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.2f× | %s | %s |\n", w.name, w.against,
			show(median(w.product)), show(median(w.raw)), w.unit, w.ratio(), w.aim, met)
	}
	return b.String()
}

// notes are what else was seen of the figures.
func (r report) notes() (notes []string) {
	for _, w := range r.Rows {
		if w.note != "" {
			notes = append(notes, w.name+": "+w.note+".")
		}
	}
	return notes
}

// missed says by how much each aim is missed that is, and why.
func (r report) missed() (missed []string) {
	for _, w := range r.Rows {
		if w.met() {
			continue
		}
		text := fmt.Sprintf("%s: %.2f× where %s was aimed at, off by %.0f %%.", w.name, w.ratio(), w.aim, 100*w.missedBy())
		if w.reason != "" {
			text += " " + w.reason
		}
		missed = append(missed, text)
	}
	return missed
}

// machine says what the figures were measured on, as far as it matters for
// ratios: how much could run at once, and what else was running.
func machine() string {
	load := "not known"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("%d CPUs, %s/%s, %s; load average before the start: %s",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), load)
}
