package dynamodb

import (
	"maps"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Operation is a kind of request.
type Operation string

// The kinds of request that a DB sends for its callers.
const (
	GetItem            Operation = "GetItem"
	BatchGetItem       Operation = "BatchGetItem"
	QueryTable         Operation = "Query"
	QueryIndex         Operation = "Query index"
	PutItem            Operation = "PutItem"
	UpdateItem         Operation = "UpdateItem"
	DeleteItem         Operation = "DeleteItem"
	TransactWriteItems Operation = "TransactWriteItems"
)

// Usage is what requests consumed, as the engine told: read units (a strongly
// consistent read of 4 KB is one) and write units (a write of 1 KB is one, in a
// transaction two), those of the index included. It does not tell what a write
// consumed whose condition failed; as much as if it had been done, on AWS.
type Usage struct {
	Requests   int64 // that were sent, whatever came of them
	Failed     int64 // of these, those that were answered by an error, or not at all
	ReadUnits  float64
	WriteUnits float64
}

// Capacity is what was consumed by each kind of request.
type Capacity map[Operation]Usage

// Sum adds up all kinds.
func (c Capacity) Sum() Usage {
	var sum Usage
	for _, u := range c {
		sum = sum.plus(u)
	}
	return sum
}

// Since returns what was consumed after before was taken.
func (c Capacity) Since(before Capacity) Capacity {
	since := Capacity{}
	for operation, u := range c {
		b := before[operation]
		u.Requests -= b.Requests
		u.Failed -= b.Failed
		u.ReadUnits -= b.ReadUnits
		u.WriteUnits -= b.WriteUnits
		if u != (Usage{}) {
			since[operation] = u
		}
	}
	return since
}

func (u Usage) plus(v Usage) Usage {
	return Usage{u.Requests + v.Requests, u.Failed + v.Failed, u.ReadUnits + v.ReadUnits, u.WriteUnits + v.WriteUnits}
}

// Capacity returns what was consumed through db so far.
func (db *DB) Capacity() Capacity {
	db.meter.mu.Lock()
	defer db.meter.mu.Unlock()
	return maps.Clone(db.meter.used)
}

type meter struct {
	mu   sync.Mutex
	used Capacity
}

// count notes a request of a kind and what the engine said of it.
func (m *meter) count(operation Operation, err error, consumed ...types.ConsumedCapacity) {
	use := answered(err)
	for _, c := range consumed {
		switch operation {
		case GetItem, BatchGetItem, QueryTable, QueryIndex:
			use.ReadUnits += aws.ToFloat64(c.CapacityUnits)
		default:
			use.WriteUnits += aws.ToFloat64(c.CapacityUnits)
		}
	}
	m.add(operation, use)
}

// countTransaction is count for a transaction, whose ops' items take at least so many
// write units. DynamoDB Local tells of one of the ops only, and less than AWS.
func (m *meter) countTransaction(err error, least float64, consumed ...types.ConsumedCapacity) {
	use := answered(err)
	for _, c := range consumed {
		if c.ReadCapacityUnits != nil || c.WriteCapacityUnits != nil {
			// a transaction that is known again by its token only reads
			use.ReadUnits += aws.ToFloat64(c.ReadCapacityUnits)
			use.WriteUnits += aws.ToFloat64(c.WriteCapacityUnits)
			continue
		}
		table := aws.ToFloat64(c.CapacityUnits)
		for _, index := range c.GlobalSecondaryIndexes {
			table -= aws.ToFloat64(index.CapacityUnits)
			use.WriteUnits += aws.ToFloat64(index.CapacityUnits)
		}
		use.WriteUnits += max(table, least)
	}
	m.add(TransactWriteItems, use)
}

func answered(err error) Usage {
	if err != nil {
		return Usage{Requests: 1, Failed: 1}
	}
	return Usage{Requests: 1}
}

func (m *meter) add(operation Operation, use Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = Capacity{}
	}
	m.used[operation] = m.used[operation].plus(use)
}

func one(c *types.ConsumedCapacity) []types.ConsumedCapacity {
	if c == nil {
		return nil
	}
	return []types.ConsumedCapacity{*c}
}
