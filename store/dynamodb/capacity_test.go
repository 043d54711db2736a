package dynamodb_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/dynamodb"
)

func TestCapacity_CountsWhatIsPaidFor(t *testing.T) {
	db := create(t, tableName(), dynamodb.Options{})
	ctx := t.Context()
	large := store.Item{Key: key("large"), Value: make([]byte, 3000)}
	indexed := store.Item{Key: key("indexed"), Index: store.Key{PK: "I", SK: "1"}}
	write := func(ops ...store.Op) func() error { return func() error { return db.Write(ctx, ops...) } }
	query := func(q store.Query) func() error {
		return func() error { _, err := db.Query(ctx, q); return err }
	}
	for _, c := range []struct {
		name      string
		do        func() error
		operation dynamodb.Operation
		want      dynamodb.Usage
	}{
		{"a small put", write(store.Put(item("a", "1"), store.Absent)), dynamodb.PutItem, dynamodb.Usage{Requests: 1, WriteUnits: 1}},
		{"a put of 3 KB", write(store.Put(large, store.Absent)), dynamodb.PutItem, dynamodb.Usage{Requests: 1, WriteUnits: 3}},
		{"a put of any version", write(store.Put(item("a", "2"), store.Any)), dynamodb.UpdateItem, dynamodb.Usage{Requests: 1, WriteUnits: 1}},
		{"a put into the index", write(store.Put(indexed, store.Absent)), dynamodb.PutItem, dynamodb.Usage{Requests: 1, WriteUnits: 2}},
		{"two puts", write(store.Put(item("a", "3"), store.VersionIs(2)), store.Put(item("b", "1"), store.Absent)), dynamodb.TransactWriteItems, dynamodb.Usage{Requests: 1, WriteUnits: 4}},
		{"a put and a check", write(store.Put(large, store.VersionIs(1)), store.Check(key("none"), store.Absent)), dynamodb.TransactWriteItems, dynamodb.Usage{Requests: 1, WriteUnits: 8}},
		{"a delete", write(store.Delete(key("b"), store.Any)), dynamodb.DeleteItem, dynamodb.Usage{Requests: 1, WriteUnits: 1}},
		{"a check", write(store.Check(key("a"), store.Present)), dynamodb.GetItem, dynamodb.Usage{Requests: 1, ReadUnits: 1}},
		{"a get", func() error { _, err := db.Get(ctx, key("a")); return err }, dynamodb.GetItem, dynamodb.Usage{Requests: 1, ReadUnits: 1}},
		{"two at once", func() error {
			_, err := db.GetMany(ctx, []store.Key{key("a"), key("large")})
			return err
		}, dynamodb.BatchGetItem, dynamodb.Usage{Requests: 1, ReadUnits: 2}},
		{"a query", query(store.Query{PK: "P"}), dynamodb.QueryTable, dynamodb.Usage{Requests: 1, ReadUnits: 1}},
		{"an index query", query(store.Query{PK: "I", Index: true}), dynamodb.QueryIndex, dynamodb.Usage{Requests: 1, ReadUnits: 0.5}},
		{"a failed condition", func() error {
			if err := db.Write(ctx, store.Put(item("a", "4"), store.Absent)); !errors.As(err, new(*store.ConditionError)) {
				return fmt.Errorf("got %w, want a ConditionError", err)
			}
			return nil
		}, dynamodb.PutItem, dynamodb.Usage{Requests: 1, Failed: 1}},
	} {
		before := db.Capacity()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		used := db.Capacity().Since(before)
		if len(used) != 1 || used[c.operation] != c.want || used.Sum() != c.want {
			t.Errorf("%s: used %+v, want %s %+v", c.name, used, c.operation, c.want)
		}
	}
}

// What the engine leaves out of a batch is asked for again.
func TestGetMany_UnprocessedKeys(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	var keys []store.Key
	var ops []store.Op
	for i := range 30 {
		keys = append(keys, key(fmt.Sprint(i)))
		ops = append(ops, store.Put(item(fmt.Sprint(i), fmt.Sprint(i)), store.Any))
	}
	must(t, db.Write(t.Context(), ops...))
	left := 2
	p.set(func(r request) fate {
		var in struct{ RequestItems json.RawMessage }
		if left--; left < 0 || json.Unmarshal([]byte(r.body), &in) != nil {
			return pass
		}
		return fate{lost: true, status: 200, body: fmt.Sprintf(`{"Responses":{},"UnprocessedKeys":%s}`, in.RequestItems)}
	})
	found, err := db.GetMany(t.Context(), keys)
	if err != nil || len(found) != len(keys) {
		t.Errorf("%d of %d items, %v", len(found), len(keys), err)
	}
	if got := p.operations(); got != "BatchGetItem BatchGetItem BatchGetItem" {
		t.Errorf("sent %s", got)
	}
}

func TestWrite_MoreThanOneTransactionHoldsIsRefused(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	var ops []store.Op
	for i := range 13 {
		ops = append(ops, store.Put(store.Item{Key: key(fmt.Sprint(i)), Value: make([]byte, 340*1024)}, store.Any))
	}
	p.next()
	if err := db.Write(t.Context(), ops...); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if sent := p.operations(); sent != "" {
		t.Errorf("sent %s", sent)
	}
	must(t, db.Write(t.Context(), ops[:12]...))
}

// An item that another program put there is an error at once, not an outage.
func TestTable_ForeignItem(t *testing.T) {
	table := tableName()
	db := create(t, table, dynamodb.Options{})
	for sk, version := range map[string]types.AttributeValue{"none": nil, "text": &types.AttributeValueMemberS{Value: "1"}, "fraction": &types.AttributeValueMemberN{Value: "1.5"}} {
		foreign := map[string]types.AttributeValue{
			dynamodb.AttributePK: &types.AttributeValueMemberS{Value: "P"}, dynamodb.AttributeSK: &types.AttributeValueMemberS{Value: sk},
		}
		if version != nil {
			foreign["v"] = version
		}
		_, err := raw(t).PutItem(t.Context(), &sdk.PutItemInput{TableName: &table, Item: foreign})
		must(t, err)
		_, getErr := db.Get(t.Context(), key(sk))
		_, queryErr := db.Query(t.Context(), store.Query{PK: "P", Prefix: sk})
		_, manyErr := db.GetMany(t.Context(), []store.Key{key(sk), key("other")})
		for call, err := range map[string]error{
			"Get": getErr, "Query": queryErr, "GetMany": manyErr, "Write": db.Write(t.Context(), store.Put(item(sk, "1"), store.VersionIs(7))),
		} {
			if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "not one of enlace's") {
				t.Errorf("%s of an item with version %s: %v", call, sk, err)
			}
		}
	}
}
