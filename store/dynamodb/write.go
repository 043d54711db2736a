package dynamodb

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
)

// Write is store.Table's. One op that puts, deletes or checks is a request of its
// own, except a conditional delete: it leaves nothing by which to learn whether it
// was done, so it is sent as several ops are, in a transaction whose token makes a
// second try harmless.
func (db *DB) Write(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckWrite(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := db.begin(ops)
	err := persist(ctx, func() error {
		err := w.try(ctx)
		if errors.As(err, new(*busyError)) {
			w.again()
		}
		return err
	})
	db.settle(w, err)
	return err
}

// write is one Write under way.
type write struct {
	db  *DB
	ops []store.Op // each with a write id
	tried
}

// tried is what one try of a Write sent, besides its ops: with the same again the
// request is the same again.
type tried struct {
	now   int64 // in seconds since 1970, for conditions
	over  []int // ops that put, under no condition, over what has expired
	round int   // of the tries that certainly did nothing
	sure  bool  // no earlier try may have been done
}

// again readies w for another try after one that did nothing. If an earlier one may
// have been done nothing changes, so that the engine knows it again.
func (w *write) again() {
	if w.sure {
		w.now, w.round = w.db.seconds(), w.round+1
	}
}

// try sends the ops, until they are done or fail by something else than what
// expired items do to puts.
func (w *write) try(ctx context.Context) error {
	for {
		failed, err := w.send(ctx)
		if err != nil || len(failed) == 0 {
			return err
		}
		conflicts, err := w.conflicts(failed)
		if err != nil {
			return err
		}
		if len(conflicts) > 0 {
			return &store.ConditionError{Conflict: conflicts[0], Others: conflicts[1:]}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// failedOp is an op whose condition failed, and what stands at its key.
type failedOp struct {
	op       int
	standing attributes
}

// conflicts returns the caller's conditions that failed. A put under no condition
// fails only by our own: its next try is the other way.
func (w *write) conflicts(failed []failedOp) ([]store.Conflict, error) {
	var conflicts []store.Conflict
	for _, f := range failed {
		if w.ops[f.op].Condition == store.Any {
			w.turn(f.op)
			continue
		}
		item, err := live(f.standing, w.now)
		if err != nil {
			return nil, w.db.explain(err)
		}
		conflicts = append(conflicts, store.Conflict{Op: f.op, Item: item})
	}
	return conflicts, nil
}

// turn has a put under no condition go over an expired item from now on, or no longer.
func (w *write) turn(op int) {
	if at := slices.Index(w.over, op); at >= 0 {
		w.over = slices.Delete(slices.Clone(w.over), at, at+1)
		return
	}
	w.over = append(slices.Clone(w.over), op)
}

// send sends the ops once. Ops that ask for nothing and change nothing are left out.
func (w *write) send(ctx context.Context) ([]failedOp, error) {
	var effective []int
	for i, op := range w.ops {
		if op.Kind != store.OpCheck || op.Condition != store.Any {
			effective = append(effective, i)
		}
	}
	if len(effective) == 0 {
		return nil, nil
	}
	first := effective[0]
	op := w.ops[first]
	switch {
	case len(effective) > 1 || op.Kind == store.OpDelete && op.Condition != store.Any:
		return w.transact(ctx, effective)
	case op.Kind == store.OpCheck:
		return w.check(ctx, first)
	case op.Kind == store.OpDelete:
		return nil, w.delete(ctx, op.Item.Key)
	}
	return w.put(ctx, first)
}

// put sends one put.
func (w *write) put(ctx context.Context, i int) ([]failedOp, error) {
	db := w.db
	err := db.write(ctx, func(ctx context.Context) error {
		item, condition, whole := w.wholePut(i)
		if !whole {
			update, condition := counting(w.ops[i].Item, w.ops[i].Condition, w.now)
			out, err := db.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: &db.table, Key: keyOf(w.ops[i].Item.Key), UpdateExpression: &update,
				ConditionExpression: &condition.text, ExpressionAttributeValues: condition.values,
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
				ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
			})
			if err != nil {
				db.meter.count(UpdateItem, err)
				return err
			}
			db.meter.count(UpdateItem, nil, one(out.ConsumedCapacity)...)
			return nil
		}
		out, err := db.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &db.table, Item: item,
			ConditionExpression: &condition.text, ExpressionAttributeValues: condition.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			db.meter.count(PutItem, err)
			return err
		}
		db.meter.count(PutItem, nil, one(out.ConsumedCapacity)...)
		return nil
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return []failedOp{{i, failed.Item}}, nil
	}
	return nil, err
}

// wholePut returns the item and the condition of a put whose version is known
// beforehand; of others, whole is false, and counting does it.
func (w *write) wholePut(i int) (item attributes, condition expression, whole bool) {
	op := w.ops[i]
	if version, exact := op.Condition.Version(); exact {
		return encode(op.Item, version+1), conditionOf(op.Condition, w.now), true
	}
	if slices.Contains(w.over, i) {
		return encode(op.Item, 1), conditionOf(store.Absent, w.now), true
	}
	return nil, expression{}, false
}

// delete sends one delete under no condition.
func (w *write) delete(ctx context.Context, key store.Key) error {
	db := w.db
	return db.write(ctx, func(ctx context.Context) error {
		out, err := db.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &db.table, Key: keyOf(key), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			db.meter.count(DeleteItem, err)
			return err
		}
		db.meter.count(DeleteItem, nil, one(out.ConsumedCapacity)...)
		return nil
	})
}

// check does one check, by reading: it costs a fraction of a transaction.
func (w *write) check(ctx context.Context, i int) ([]failedOp, error) {
	item, err := w.db.get(ctx, w.ops[i].Item.Key)
	if err != nil {
		return nil, err
	}
	var version int64
	var standing attributes
	if item != nil {
		version, standing = item.Version, encode(*item, item.Version)
	}
	if w.ops[i].Condition.Holds(version) {
		return nil, nil
	}
	return []failedOp{{i, standing}}, nil
}
