// Command bench measures the product against what it stands on: whatsmeow with
// its own store, and a bare router. Each figure is a ratio of two processes that
// did the same in one run, in turns, on the same machine, disk and test server.
// It prints a table and writes it as a page of the documentation.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// figures is what is measured, in the order of the table.
var figures = []figure{linking, bringUp, fleets, polls, inbound, latency, outbound, apart, takeovers, coldStart}

func main() {
	out := flag.String("out", "", "write the page to this `file`")
	dir := flag.String("dir", ".cache", "`folder` in which a folder named bench is made anew, for binaries, databases and logs; its disk is the one that is measured")
	only := flag.String("only", "", "measure only the figures whose name matches this `pattern`")
	rounds := flag.Int("rounds", 3, "how many rounds of each figure")
	micro := flag.Bool("micro", true, "run the Go benchmarks of the packages too")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *out, *only, *rounds, *micro); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, out, only string, rounds int, micro bool) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	lab, err := openLab(ctx, dir, rounds)
	if err != nil {
		return err
	}
	began := time.Now()
	rep := report{Machine: machine(), Rounds: rounds}
	for _, f := range figures {
		if !wanted.MatchString(f.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", f.name)
		rows, err := f.measure(ctx, lab)
		if err != nil {
			return fmt.Errorf("%s: %w (logs are in %s)", f.name, err, lab.dir)
		}
		for _, r := range rows {
			fmt.Fprintln(os.Stderr, "  "+r.String())
			if r.note != "" {
				fmt.Fprintln(os.Stderr, "    "+r.note)
			}
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	if micro {
		if rep.Micro, err = microBenchmarks(ctx); err != nil {
			return err
		}
	}
	rep.Took = time.Since(began).Round(time.Second)
	fmt.Print(rep.table())
	if out == "" {
		return nil
	}
	return os.WriteFile(out, []byte(rep.page()), 0o644)
}
