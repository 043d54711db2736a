package memory

import (
	"context"
	"slices"
	"time"

	"github.com/enlacehq/enlace/store"
)

// Write is store.Table's.
func (db *DB) Write(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckWrite(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	now := db.now()
	var conflicts []store.Conflict
	versions := make([]int64, len(ops)) // that stand at the ops' keys
	for i, op := range ops {
		item := db.find(now, op.Item.Key)
		if item != nil {
			versions[i] = item.Version
		}
		if op.Condition.Holds(versions[i]) {
			continue
		}
		conflict := store.Conflict{Op: i}
		if item != nil {
			inTheWay := clone(item)
			conflict.Item = &inTheWay
		}
		conflicts = append(conflicts, conflict)
	}
	if len(conflicts) > 0 {
		return &store.ConditionError{Conflict: conflicts[0], Others: conflicts[1:]}
	}
	fresh := store.NewWriteID()
	for i, op := range ops {
		switch op.Kind {
		case store.OpPut:
			item := clone(&op.Item)
			item.Version = versions[i] + 1
			item.Expires = store.ExpiryTime(store.ExpirySeconds(op.Item.Expires))
			if item.WriteID == "" {
				item.WriteID = fresh
			}
			if item.Index.PK == "" {
				item.Index = store.Key{}
			}
			db.put(now, &item)
			db.touch(item.Key, item.Index)
		case store.OpDelete:
			db.delete(now, op.Item.Key)
		}
	}
	return nil
}

func (db *DB) put(now time.Time, item *store.Item) {
	p := db.partitions[item.PK]
	if p == nil {
		p = &partition{}
		db.partitions[item.PK] = p
	}
	at, there := p.search(item.SK)
	if there {
		db.touch(p.items[at].Index)
		db.index.Move(now, item.Key, p.items[at].Index, item.Index)
		p.items[at] = item
		return
	}
	db.index.Move(now, item.Key, store.Key{}, item.Index)
	p.items = slices.Insert(p.items, at, item)
}

func (db *DB) delete(now time.Time, key store.Key) {
	p := db.partitions[key.PK]
	if p == nil {
		return
	}
	at, there := p.search(key.SK)
	if !there {
		return
	}
	db.touch(key, p.items[at].Index)
	db.index.Move(now, key, p.items[at].Index, store.Key{})
	p.items = slices.Delete(p.items, at, at+1)
	if len(p.items) == 0 {
		delete(db.partitions, key.PK)
	}
}

// touch wakes who waits for the partitions of keys, of the table or of the index.
func (db *DB) touch(keys ...store.Key) {
	for _, key := range keys {
		db.board.Touch(key.PK)
	}
}
