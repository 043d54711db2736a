package dynamodb

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
)

// Get is store.Table's.
func (db *DB) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := ctx.Err(); err != nil {
		return store.Item{}, err
	}
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	item, err := db.get(ctx, key)
	if err != nil {
		return store.Item{}, err
	}
	if item == nil {
		return store.Item{}, store.ErrNotFound
	}
	return *item, nil
}

// get returns the item at key, nil when it is absent or expired.
func (db *DB) get(ctx context.Context, key store.Key) (item *store.Item, err error) {
	err = db.read(ctx, func(ctx context.Context) error {
		out, err := db.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &db.table, Key: keyOf(key), ConsistentRead: aws.Bool(true),
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
		if err != nil {
			db.meter.count(GetItem, err)
			return err
		}
		db.meter.count(GetItem, nil, one(out.ConsumedCapacity)...)
		item, err = live(out.Item, db.seconds())
		return err
	})
	return item, err
}

// seconds returns the time in whole seconds since 1970: what expires at it has expired.
func (db *DB) seconds() int64 { return db.now().Unix() }

// maxBatch is how many keys one BatchGetItem takes.
const maxBatch = 100

// GetMany is store.Table's.
func (db *DB) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	distinct := make(map[store.Key]bool, len(keys))
	var ask []store.Key
	for _, key := range keys {
		if err := store.CheckKey(key); err != nil {
			return nil, err
		}
		if !distinct[key] {
			distinct[key] = true
			ask = append(ask, key)
		}
	}
	found := make(map[store.Key]store.Item, len(ask))
	if len(ask) == 1 {
		item, err := db.get(ctx, ask[0])
		if err == nil && item != nil {
			found[item.Key] = *item
		}
		return found, err
	}
	for batch := range slices.Chunk(ask, maxBatch) {
		if err := db.getBatch(ctx, batch, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// getBatch adds what stands at keys to found. What the engine leaves out, because
// the answer grows too large or it is busy, is asked for again.
func (db *DB) getBatch(ctx context.Context, keys []store.Key, found map[store.Key]store.Item) error {
	ask := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for _, key := range keys {
		ask.Keys = append(ask.Keys, keyOf(key))
	}
	for len(ask.Keys) > 0 {
		err := db.read(ctx, func(ctx context.Context) error {
			out, err := db.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
				RequestItems:           map[string]types.KeysAndAttributes{db.table: ask},
				ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
			})
			if err != nil {
				db.meter.count(BatchGetItem, err)
				return err
			}
			db.meter.count(BatchGetItem, nil, out.ConsumedCapacity...)
			for _, a := range out.Responses[db.table] {
				item, err := live(a, db.seconds())
				if err != nil {
					return err
				}
				if item != nil {
					found[item.Key] = *item
				}
			}
			ask.Keys = out.UnprocessedKeys[db.table].Keys
			if len(out.Responses[db.table]) == 0 && len(ask.Keys) > 0 {
				return errNothingProcessed
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
