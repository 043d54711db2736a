package embedded_test

import (
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/store/memory"
)

// Calls of the table that fail before their effect, and puts whose answer is
// lost, break no promise of a queue that stands on a Retrying table.
func TestQueue_UnderFaults(t *testing.T) {
	run(t, func(testing.TB) (store.Table, func() store.Table) {
		wrapped, faults := faulty.Wrap(memory.New(memory.Options{}), 1)
		faults.Add(faulty.Rule{Rate: 0.05})
		faults.Add(faulty.Rule{Call: faulty.Write, Op: store.OpPut, Rate: 0.1, When: faulty.After})
		table := store.Retrying(wrapped)
		return table, func() store.Table { return table }
	})
}
