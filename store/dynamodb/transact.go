package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
)

const (
	// maxWriteBytes is how much one transaction may hold.
	maxWriteBytes = 4 << 20
	// transactionUnits are paid for each kilobyte of an item in a transaction.
	transactionUnits = 2
)

// transact sends the ops with the numbers in effective in one transaction.
func (w *write) transact(ctx context.Context, effective []int) ([]failedOp, error) {
	db := w.db
	actions := make([]types.TransactWriteItem, len(effective))
	size, units := 0, 0
	for at, i := range effective {
		actions[at] = w.action(i)
		bytes := sizeOf(w.ops[i])
		size += bytes
		units += transactionUnits * ((bytes + 1023) / 1024)
	}
	if size > maxWriteBytes {
		return nil, errTooLarge
	}
	token := w.token()
	err := db.write(ctx, func(ctx context.Context) error {
		out, err := db.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
			TransactItems: actions, ClientRequestToken: &token,
			ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		})
		if err != nil {
			db.meter.countTransaction(err, 0)
			return err
		}
		db.meter.countTransaction(nil, float64(units), out.ConsumedCapacity...)
		return nil
	})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return nil, err
	}
	var failed []failedOp
	for at, reason := range cancelled.CancellationReasons {
		if isConditionFailed(reason) && at < len(effective) {
			failed = append(failed, failedOp{effective[at], reason.Item})
		}
	}
	return failed, nil
}

// token names the transaction: under it the engine does the same ops once in ten minutes.
func (w *write) token() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %v", w.ops[0].Item.WriteID, w.now, w.round, w.over))
	return hex.EncodeToString(sum[:16])
}

func (w *write) action(i int) types.TransactWriteItem {
	const old = types.ReturnValuesOnConditionCheckFailureAllOld
	op, table := w.ops[i], &w.db.table
	condition := conditionOf(op.Condition, w.now)
	switch op.Kind {
	case store.OpCheck:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: table, Key: keyOf(op.Item.Key), ReturnValuesOnConditionCheckFailure: old,
			ConditionExpression: &condition.text, ExpressionAttributeValues: condition.values,
		}}
	case store.OpDelete:
		remove := &types.Delete{TableName: table, Key: keyOf(op.Item.Key), ReturnValuesOnConditionCheckFailure: old}
		if condition.text != "" {
			remove.ConditionExpression, remove.ExpressionAttributeValues = &condition.text, condition.values
		}
		return types.TransactWriteItem{Delete: remove}
	}
	if item, condition, whole := w.wholePut(i); whole {
		return types.TransactWriteItem{Put: &types.Put{
			TableName: table, Item: item, ReturnValuesOnConditionCheckFailure: old,
			ConditionExpression: &condition.text, ExpressionAttributeValues: condition.values,
		}}
	}
	update, condition := counting(op.Item, op.Condition, w.now)
	return types.TransactWriteItem{Update: &types.Update{
		TableName: table, Key: keyOf(op.Item.Key), UpdateExpression: &update, ReturnValuesOnConditionCheckFailure: old,
		ConditionExpression: &condition.text, ExpressionAttributeValues: condition.values,
	}}
}
