package memory_test

import (
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/store/storetest"
)

var driver = storetest.Driver{
	Open: func(_ testing.TB, c storetest.Config) store.Table {
		return memory.New(memory.Options{Now: c.Now, IndexDelay: c.IndexDelay})
	},
	DelaysIndex: true,
}

func TestTable(t *testing.T) { storetest.Run(t, driver) }

func TestTable_WithFaults(t *testing.T) { storetest.Run(t, storetest.WithFaults(driver, 1)) }
