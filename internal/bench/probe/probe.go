// Package probe lets the benchmarks look into a process that they measure: its
// memory after a garbage collection, and its profiles. It is built into the raw
// baseline, and into a copy of the product that no one else ever runs.
package probe

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
)

// Env names the variable that holds the path of the probe's unix socket.
const Env = "BENCH_PROBE"

// Memory is what a process holds after a garbage collection, in bytes.
type Memory struct {
	Heap       uint64 `json:"heap"`  // spans in use
	Stack      uint64 `json:"stack"` // of goroutines
	Goroutines int    `json:"goroutines"`
}

// Start serves the probe if the environment asks for it. What it starts lasts
// as long as the process.
func Start() {
	path := os.Getenv(Env)
	if path == "" {
		return
	}
	_ = os.Remove(path) // of a process that was killed
	ln, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/memory", memory)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go func() { panic(http.Serve(ln, mux)) }()
}

// memory collects until nothing changes, as it happens in time to a process that
// idles: finalizers free what a round found, and each round halves the stacks
// that have become too large. Then it gives what is free back to the system, and
// tells what is left.
func memory(w http.ResponseWriter, _ *http.Request) {
	const rounds = 10
	var stats runtime.MemStats
	before := uint64(0)
	for range rounds {
		debug.FreeOSMemory()
		runtime.ReadMemStats(&stats)
		now := stats.HeapInuse + stats.StackInuse
		if before != 0 && now > before-before/200 {
			break
		}
		before = now
	}
	_ = json.NewEncoder(w).Encode(Memory{
		Heap: stats.HeapInuse, Stack: stats.StackInuse, Goroutines: runtime.NumGoroutine(),
	})
}
