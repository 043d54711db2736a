package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// microPackages are those whose Go benchmarks the page shows.
var microPackages = []string{"./api", "./store/sqlite", "./store/signal", "./internal/e2e"}

// microBenchmarks runs the Go benchmarks and returns their lines.
func microBenchmarks(ctx context.Context) ([]string, error) {
	args := []string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", "300ms"}
	out, err := exec.CommandContext(ctx, "go", append(args, microPackages...)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "pkg: "); ok {
			lines = append(lines, strings.TrimSpace(rest))
		}
		if strings.HasPrefix(line, "Benchmark") {
			lines = append(lines, "  "+strings.Join(strings.Fields(line), " "))
		}
	}
	return lines, nil
}
