package sqlite

import (
	"database/sql/driver"

	"github.com/enlacehq/enlace/store"
)

// standing is what stands at an op's key, expired or not.
type standing struct {
	rowid   int64 // 0 when nothing does
	version int64 // as conditions see it: 0 when it is expired
	expires int64
	index   store.Key
}

// apply does p inside the open transaction, or nothing when a condition fails.
// All conditions are looked at first; keys are distinct, so no op changes what
// another one of p asks for.
func (w *writer) apply(p *pending) (conflict, err error) {
	now := w.db.now().Unix()
	at := make([]standing, len(p.ops))
	var conflicts []store.Conflict
	for i, op := range p.ops {
		if at[i], err = w.find(op.Item.Key, now); err != nil {
			return nil, err
		}
		if op.Condition.Holds(at[i].version) {
			continue
		}
		c := store.Conflict{Op: i}
		if at[i].version != 0 {
			if c.Item, err = w.inTheWay(at[i].rowid); err != nil {
				return nil, err
			}
		}
		conflicts = append(conflicts, c)
	}
	if len(conflicts) > 0 {
		return &store.ConditionError{Conflict: conflicts[0], Others: conflicts[1:]}, nil
	}
	fresh := ""
	for i, op := range p.ops {
		switch {
		case op.Kind == store.OpPut:
			if op.Item.WriteID == "" {
				if fresh == "" {
					fresh = store.NewWriteID()
				}
				op.Item.WriteID = fresh
			}
			err = w.put(op.Item, at[i])
			p.moves = append(p.moves, move{op.Item.Key, at[i].index, indexKey(op.Item)})
		case op.Kind == store.OpDelete && at[i].rowid != 0:
			err = w.stmts.remove.exec(at[i].rowid)
			p.moves = append(p.moves, move{op.Item.Key, at[i].index, store.Key{}})
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (w *writer) find(key store.Key, now int64) (at standing, err error) {
	err = w.stmts.standing.each(func(row []driver.Value) error {
		at.rowid, _ = row[0].(int64)
		at.version, _ = row[1].(int64)
		at.expires, _ = row[2].(int64)
		at.index.PK, _ = row[3].(string)
		at.index.SK, _ = row[4].(string)
		return nil
	}, key.PK, key.SK)
	if at.expires != 0 && at.expires <= now {
		at.version = 0
	}
	return at, err
}

func (w *writer) inTheWay(rowid int64) (item *store.Item, err error) {
	err = w.stmts.full.each(func(row []driver.Value) error {
		found := decode(row)
		item = &found
		return nil
	}, rowid)
	return item, err
}

// put writes item over what stands at its key. Where index key and expiry stay
// as they are, their indexes are left alone.
func (w *writer) put(item store.Item, at standing) error {
	index, expires, version := indexKey(item), store.ExpirySeconds(item.Expires), at.version+1
	var indexPK, indexSK, expiry any
	if index.PK != "" {
		indexPK, indexSK = index.PK, index.SK
	}
	if expires != 0 {
		expiry = expires
	}
	switch {
	case at.rowid == 0:
		return w.stmts.insert.exec(item.PK, item.SK, version, expiry, indexPK, indexSK, item.WriteID, item.Value)
	case index == at.index && expires == at.expires:
		return w.stmts.updateValue.exec(version, item.WriteID, item.Value, at.rowid)
	}
	return w.stmts.update.exec(version, expiry, indexPK, indexSK, item.WriteID, item.Value, at.rowid)
}

func indexKey(item store.Item) store.Key {
	if item.Index.PK == "" {
		return store.Key{}
	}
	return item.Index
}
