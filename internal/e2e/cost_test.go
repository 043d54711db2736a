package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"text/template"
)

var writeCosts = flag.Bool("write-costs", false, "have TestUnits write docs/cost.md")

var (
	costPage     = filepath.Join("..", "..", "docs", "cost.md")
	costTemplate = template.Must(template.ParseFiles(filepath.Join("testdata", "cost.md.tmpl")))
)

// costRows are the rows of the page's first table, in its order.
var costRows = []string{rowPairing, rowFirst, rowReceived, rowSent, rowKey, rowBoth, rowPoll, rowWorker}

// List prices in dollars.
const (
	priceWrite, priceRead = 0.625e-6, 0.125e-6
	priceStored           = 0.25 + 0.20 // a GB and month, with recovery to any second
	priceVCPU, priceGB    = 0.03238, 0.00356
	priceAddress          = 0.005
	priceRequest          = 1.00e-6
	priceCall             = 0.20e-6
	priceCompute          = 0.0000133334
	priceReceive          = 0.40e-6
	priceKey              = 1.00
	priceAlarm            = 0.10
	priceMetric           = 0.30
	priceLogged           = 0.50
)

const (
	monthHours = 730.0
	perCall    = priceRequest + priceCall + 0.5*0.010*priceCompute // 512 MB for about 10 ms
)

type costLine struct {
	What, Much string
	Dollars    float64
}

// costs returns the page for what was measured.
func costs(t testing.TB, found measured) []byte {
	t.Helper()
	texts := 1000.0 * 50 * monthHours / 24
	units := func(s spent) float64 { return s.Writes*priceWrite + s.Reads*priceRead }
	worker := found[rowWorker].each(1 / (monthHours * 3600))
	fargate := (0.25*priceVCPU + 1*priceGB + priceAddress) * monthHours
	const receivedGB, sentGB = 0.8e-6, 2.0e-6
	feed := 4 * texts * priceWrite
	stored := texts * (receivedGB + sentGB)
	lines := []costLine{
		{"DynamoDB: texts received", fmt.Sprintf("%.2f writes, %.2f reads each", found[rowReceived].Writes, found[rowReceived].Reads), texts * units(found[rowReceived])},
		{"DynamoDB: texts sent", fmt.Sprintf("%.2f writes, %.2f reads each", found[rowSent].Writes, found[rowSent].Reads), texts * units(found[rowSent])},
		{"DynamoDB: notes for the feed", "4 writes for one text of each, at most", feed},
		{"DynamoDB: a worker itself", fmt.Sprintf("%.1f million reads, %.1f million writes", worker.Reads/1e6, worker.Writes/1e6), units(worker)},
		{"DynamoDB: kept for 30 days", fmt.Sprintf("about %.1f GB, with point-in-time recovery", stored), stored * priceStored},
		{"Fargate: a worker", "0.25 vCPU, 1 GB, arm64, a public IPv4 address", fargate},
		{"API Gateway and Lambda: posts", fmt.Sprintf("%.2f million requests, 512 MB for 10 ms", texts/1e6), texts * perCall},
		{"SQS", "a receive every 20 s", monthHours * 180 * priceReceive},
		{"KMS", "a key; a request for each claim and pairing", priceKey},
		{"CloudWatch", "5 alarms, 2 metrics, about 1.2 GB of logs", 5*priceAlarm + 2*priceMetric + 1.2*priceLogged},
	}
	all := 0.0
	for _, line := range lines {
		all += line.Dollars
	}
	type row struct {
		Name string
		spent
	}
	var rows []row
	for _, name := range costRows {
		rows = append(rows, row{name, found[name]})
	}
	dollars := func(v float64) string { return fmt.Sprintf("$%.2f", v) }
	var page bytes.Buffer
	err := costTemplate.Execute(&page, map[string]any{
		"TextBytes": textBytes, "Rows": rows, "Texts": fmt.Sprintf("%.2f", texts/1e6), "Lines": lines, "All": all,
		"Requests": dollars(lines[0].Dollars + lines[1].Dollars), "Feed": dollars(feed), "Worker": dollars(fargate + units(worker)),
		"Polls": dollars(1e6 * (perCall + priceRead)),
		"Prices": []struct{ What, Price string }{
			{"DynamoDB, a million writes · reads", "0.625 · 0.125"},
			{"DynamoDB, a GB and month · with point-in-time recovery", "0.25 · 0.45"},
			{"Fargate arm64, an hour of a vCPU · of a GB", "0.03238 · 0.00356"},
			{"public IPv4 address, an hour", "0.005"},
			{"API Gateway HTTP API, a million requests", "1.00"},
			{"Lambda arm64, a million requests · a GB-second", "0.20 · 0.0000133334"},
			{"SQS, a million requests", "0.40"},
			{"KMS, a key and month", "1.00"},
			{"CloudWatch, an alarm · a metric · a GB of logs", "0.10 · 0.30 · 0.50"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// pageUnits reads the first table of the page.
func pageUnits(t testing.TB, page []byte) measured {
	t.Helper()
	told := measured{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| +([0-9.]+) \| +([0-9.]+) \|$`).FindAllSubmatch(page, -1) {
		writes, _ := strconv.ParseFloat(string(m[2]), 64)
		reads, _ := strconv.ParseFloat(string(m[3]), 64)
		told[string(m[1])] = spent{writes, reads}
	}
	return told
}

// wantPage fails when docs/cost.md says something else than found, beyond noise.
func wantPage(t *testing.T, found measured) {
	t.Helper()
	if *writeCosts {
		rounded := measured{}
		for name, units := range found {
			rounded[name] = spent{math.Round(units.Writes*100) / 100, math.Round(units.Reads*100) / 100}
		}
		if err := os.WriteFile(costPage, costs(t, rounded), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(costPage)
	if err != nil {
		t.Fatal(err)
	}
	told := pageUnits(t, page)
	for _, name := range costRows {
		// Looks around are made by the clock, and fewer on a busy machine.
		noise := 0.1
		if name == rowWorker {
			noise = 0.5
		}
		for what, pair := range map[string][2]float64{"writes": {found[name].Writes, told[name].Writes}, "reads": {found[name].Reads, told[name].Reads}} {
			if math.Abs(pair[0]-pair[1]) > 0.3+noise*pair[0] {
				t.Errorf("docs/cost.md says that %s consumes %.2f %s, measured are %.2f: write it anew", name, pair[1], what, pair[0])
			}
		}
	}
}

// What the page says of a month follows from its first table.
func TestCosts_FollowFromTheUnits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(costPage)
	if err != nil {
		t.Fatal(err)
	}
	if want := costs(t, pageUnits(t, page)); !bytes.Equal(page, want) {
		t.Errorf("docs/cost.md is not what its units and the prices give; want\n%s", want)
	}
}
