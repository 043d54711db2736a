package dynamodb

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/store"
)

// The names of the table's key attributes, of its index, and of the attribute by
// which the engine removes what has expired.
const (
	AttributePK      = "PK"
	AttributeSK      = "SK"
	IndexName        = "index" // its projection is KEYS_ONLY
	AttributeIndexPK = "IPK"
	AttributeIndexSK = "ISK"
	AttributeTTL     = "x"
)

// The other attributes. Names are short because they are paid for in each item.
const (
	attributeVersion = "v"
	attributeWriteID = "w" // as bytes if it is hex, as ids are
	attributeValue   = "d" // absent when empty
)

type attributes = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func bin(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func keyOf(k store.Key) attributes {
	return attributes{AttributePK: str(k.PK), AttributeSK: str(k.SK)}
}

// encode returns item as it is stored at version.
func encode(item store.Item, version int64) attributes {
	a := keyOf(item.Key)
	a[attributeVersion] = num(version)
	for name, value := range contents(item) {
		if value != nil {
			a[name] = value
		}
	}
	return a
}

// contents returns all that a put sets besides key and version; nil is absent.
func contents(item store.Item) attributes {
	a := attributes{
		attributeWriteID: encodeWriteID(item.WriteID),
		attributeValue:   nil,
		AttributeTTL:     nil,
		AttributeIndexPK: nil,
		AttributeIndexSK: nil,
	}
	if len(item.Value) > 0 {
		a[attributeValue] = bin(item.Value)
	}
	if seconds := store.ExpirySeconds(item.Expires); seconds != 0 {
		a[AttributeTTL] = num(seconds)
	}
	if item.Index.PK != "" {
		a[AttributeIndexPK], a[AttributeIndexSK] = str(item.Index.PK), str(item.Index.SK)
	}
	return a
}

// sizeOf returns how many bytes op puts; of others, of its key.
func sizeOf(op store.Op) int {
	if op.Kind != store.OpPut {
		return len(AttributePK) + len(op.Item.PK) + len(AttributeSK) + len(op.Item.SK)
	}
	size := 0
	for name, value := range encode(op.Item, op.Item.Version) {
		size += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			size += len(v.Value)
		case *types.AttributeValueMemberB:
			size += len(v.Value)
		case *types.AttributeValueMemberN:
			size += len(v.Value)/2 + 2 // two digits a byte
		}
	}
	return size
}

func encodeWriteID(id string) types.AttributeValue {
	if raw, err := hex.DecodeString(id); err == nil && hex.EncodeToString(raw) == id {
		return bin(raw)
	}
	return str(id)
}

// decode is the reverse of encode. An item that another program has put there is an error.
func decode(a attributes) (store.Item, error) {
	var item store.Item
	var err error
	if item.Key, err = decodeKey(a, AttributePK, AttributeSK); err != nil {
		return item, err
	}
	if item.Version, err = decodeNumber(a, attributeVersion); err != nil {
		return item, err
	}
	if a[AttributeTTL] != nil {
		seconds, err := decodeNumber(a, AttributeTTL)
		if err != nil {
			return item, err
		}
		item.Expires = store.ExpiryTime(seconds)
	}
	if a[AttributeIndexPK] != nil {
		if item.Index, err = decodeKey(a, AttributeIndexPK, AttributeIndexSK); err != nil {
			return item, err
		}
	}
	switch id := a[attributeWriteID].(type) {
	case *types.AttributeValueMemberB:
		item.WriteID = hex.EncodeToString(id.Value)
	case *types.AttributeValueMemberS:
		item.WriteID = id.Value
	}
	if value, ok := a[attributeValue].(*types.AttributeValueMemberB); ok {
		item.Value = value.Value
	}
	return item, nil
}

func decodeKey(a attributes, pk, sk string) (store.Key, error) {
	p, ok := a[pk].(*types.AttributeValueMemberS)
	s, also := a[sk].(*types.AttributeValueMemberS)
	if !ok || !also {
		return store.Key{}, fmt.Errorf("%w: it has no %s or no %s", errForeign, pk, sk)
	}
	return store.Key{PK: p.Value, SK: s.Value}, nil
}

func decodeNumber(a attributes, name string) (int64, error) {
	if n, ok := a[name].(*types.AttributeValueMemberN); ok {
		if value, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return value, nil
		}
	}
	return 0, fmt.Errorf("%w: it has no whole number %s", errForeign, name)
}

// live returns the item that a holds, nil when it is absent or expired at now, in
// seconds since 1970.
func live(a attributes, now int64) (*store.Item, error) {
	if len(a) == 0 {
		return nil, nil
	}
	item, err := decode(a)
	if err != nil {
		return nil, err
	}
	if expires := store.ExpirySeconds(item.Expires); expires != 0 && expires <= now {
		return nil, nil
	}
	return &item, nil
}
