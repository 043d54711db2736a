package signal

import "sync"

const defaultBudget = 1 << 20 // bytes, of a container that shares no budget

// Budget bounds the memory that containers use for what they can read again:
// rows leave it least recently used first. What must stay is charged to it and
// leaves less room for the rest. Safe for use by many containers at once.
type Budget struct {
	limit int64 // bytes

	mu      sync.Mutex
	used    int64
	nextID  uint64
	entries map[entryKey]*entry
	newest  *entry
	oldest  *entry
}

type entryKey struct {
	container uint64
	sk        string
}

type entry struct {
	key          entryKey
	row          *row
	size         int64
	newer, older *entry
}

// What an entry costs besides its row: itself, and its place in the map.
const entryOverhead = 160

// NewBudget returns a budget of limit bytes. All containers of a worker share one.
func NewBudget(limit int64) *Budget {
	return &Budget{limit: limit, entries: make(map[entryKey]*entry)}
}

// Used returns how many bytes are in use. It may pass the limit by what must stay.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

func (b *Budget) join() (container uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nextID++
	return b.nextID
}

// leave drops all rows of a container.
func (b *Budget) leave(container uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, e := range b.entries {
		if key.container == container {
			b.remove(e)
		}
	}
}

func (b *Budget) get(container uint64, sk string) *row {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[entryKey{container, sk}]
	if e == nil {
		return nil
	}
	b.unlink(e)
	b.link(e)
	return e.row
}

// keep makes r the newest entry, unless a newer version of the row is there: a
// slow reader does not undo what a writer has put meanwhile.
func (b *Budget) keep(container uint64, r *row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := entryKey{container, r.sk}
	if e := b.entries[key]; e != nil {
		if e.row.version > r.version && r.version > 0 {
			return
		}
		b.remove(e)
	}
	b.add(key, r)
	for b.used > b.limit && b.oldest != nil && b.oldest != b.newest {
		b.remove(b.oldest)
	}
}

// offer keeps r if there is room.
func (b *Budget) offer(container uint64, r *row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := entryKey{container, r.sk}
	if b.entries[key] == nil && b.used+r.size()+entryOverhead <= b.limit {
		b.add(key, r)
	}
}

func (b *Budget) drop(container uint64, sk string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[entryKey{container, sk}]; e != nil {
		b.remove(e)
	}
}

// charge counts n bytes (or gives them back) that do not leave by themselves.
func (b *Budget) charge(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
}

func (b *Budget) add(key entryKey, r *row) {
	e := &entry{key: key, row: r, size: r.size() + entryOverhead}
	b.entries[key] = e
	b.used += e.size
	b.link(e)
}

func (b *Budget) remove(e *entry) {
	b.unlink(e)
	delete(b.entries, e.key)
	b.used -= e.size
}

func (b *Budget) link(e *entry) {
	e.older = b.newest
	if b.newest != nil {
		b.newest.newer = e
	}
	b.newest = e
	if b.oldest == nil {
		b.oldest = e
	}
}

func (b *Budget) unlink(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		b.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		b.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}
