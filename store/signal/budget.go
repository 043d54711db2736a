package signal

// Budget bounds the memory that containers use for what they can read again.
type Budget struct{ limit int64 }

// NewBudget returns a budget of limit bytes. All containers of a worker share one.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }
