package dynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
)

// Query is store.Table's. A page ends where the engine's does, after 1 MB at the
// latest, or further on if all in it has expired.
func (db *DB) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	after, goOn, err := q.After()
	if err != nil {
		return store.Page{}, err
	}
	if q.From != "" && q.To != "" && q.From >= q.To {
		return store.Page{}, nil
	}
	in := db.queryInput(q)
	if goOn {
		in.ExclusiveStartKey = startKey(q, after)
	}
	operation := QueryTable
	if q.Index {
		operation = QueryIndex
	}
	for {
		var out *dynamodb.QueryOutput
		var page store.Page
		err := db.read(ctx, func(ctx context.Context) (err error) {
			out, err = db.client.Query(ctx, in)
			if err != nil {
				db.meter.count(operation, err)
				return err
			}
			db.meter.count(operation, nil, one(out.ConsumedCapacity)...)
			page.Items, err = db.shown(q, out.Items)
			return err
		})
		if err != nil {
			return store.Page{}, err
		}
		if len(out.LastEvaluatedKey) == 0 {
			return page, nil
		}
		if len(page.Items) > 0 {
			last, err := endKey(q, out.LastEvaluatedKey)
			if err != nil {
				return store.Page{}, err
			}
			page.Cursor = store.CursorAfter(q, last)
			return page, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (db *DB) queryInput(q store.Query) *dynamodb.QueryInput {
	pk, sk := AttributePK, AttributeSK
	in := &dynamodb.QueryInput{
		TableName:              &db.table,
		Limit:                  aws.Int32(int32(q.PageLimit())),
		ScanIndexForward:       aws.Bool(!q.Descending),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	if q.Index {
		pk, sk = AttributeIndexPK, AttributeIndexSK
		in.IndexName = aws.String(IndexName)
	} else {
		in.ConsistentRead = aws.Bool(true)
	}
	where := pk + " = :pk"
	values := attributes{":pk": str(q.PK)}
	switch {
	case q.Prefix != "":
		where += " AND begins_with(" + sk + ", :prefix)"
		values[":prefix"] = str(q.Prefix)
	case q.From != "" && q.To != "":
		where += " AND " + sk + " BETWEEN :from AND :to" // of which to is left out afterwards
		values[":from"], values[":to"] = str(q.From), str(q.To)
	case q.From != "":
		where += " AND " + sk + " >= :from"
		values[":from"] = str(q.From)
	case q.To != "":
		where += " AND " + sk + " < :to"
		values[":to"] = str(q.To)
	}
	in.KeyConditionExpression, in.ExpressionAttributeValues = &where, values
	return in
}

// shown returns those of the engine's items that belong into the answer of q.
func (db *DB) shown(q store.Query, from []attributes) ([]store.Item, error) {
	var items []store.Item
	now := db.seconds()
	for _, a := range from {
		if q.Index {
			item, err := endKey(q, a)
			if err != nil {
				return nil, err
			}
			if q.To == "" || item.Index.SK != q.To {
				items = append(items, item)
			}
			continue
		}
		item, err := live(a, now)
		if err != nil {
			return nil, err
		}
		if item != nil && (q.To == "" || item.SK != q.To) {
			items = append(items, *item)
		}
	}
	return items, nil
}

// startKey is where q goes on after an item.
func startKey(q store.Query, after store.Item) attributes {
	key := keyOf(after.Key)
	if q.Index {
		key[AttributeIndexPK], key[AttributeIndexSK] = str(after.Index.PK), str(after.Index.SK)
	}
	return key
}

// endKey is the reverse of startKey; the index shows its items as such keys too.
func endKey(q store.Query, key attributes) (store.Item, error) {
	var item store.Item
	var err error
	if item.Key, err = decodeKey(key, AttributePK, AttributeSK); err != nil {
		return item, err
	}
	if q.Index {
		item.Index, err = decodeKey(key, AttributeIndexPK, AttributeIndexSK)
	}
	return item, err
}
