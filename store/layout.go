package store

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/enlacehq/enlace"
)

// Where every kind of item lies. What belongs to one channel is in its own
// partitions: CH# (itself, its log and outbox), SIG# and BULK# (Signal state).

const (
	noWorker       = "none"
	workersPK      = "WORKERS"
	buriedPK       = "BURIED"
	keysPK         = "KEYS"
	eventPrefix    = "EV#"
	messagePrefix  = "MSG#"
	channelSK      = "CHANNEL"
	namePrefix     = "CH#"
	movedPrefix    = "MOVED#"
	signalPKPrefix = "SIG#"
	bulkPKPrefix   = "BULK#"
)

var (
	generationKey = Key{PK: "META", SK: "GENERATION"}
	firstKeyKey   = Key{PK: "META", SK: "FIRST-KEY"}
)

func channelKey(id string) Key { return Key{PK: "CH#" + id, SK: channelSK} }

func nameKey(company string, channelType enlace.ChannelType, name string) Key {
	return Key{PK: companyPK(company), SK: namePrefix + string(channelType) + "#" + name}
}

func companyPK(company string) string { return "CO#" + company }

func eventKey(channelID string, seq int64) Key {
	return Key{PK: channelKey(channelID).PK, SK: eventPrefix + seqSK(seq)}
}

func messageKey(channelID string, seq int64) Key {
	return Key{PK: channelKey(channelID).PK, SK: messagePrefix + seqSK(seq)}
}

// seqSK writes seq in twenty digits, so that sort-key order is numeric order.
func seqSK(seq int64) string { return fmt.Sprintf("%020d", seq) }

func parseSeq(sk, prefix string) (int64, error) {
	digits, ok := strings.CutPrefix(sk, prefix)
	seq, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("sort key %q is not %s and a number", sk, prefix)
	}
	return seq, nil
}

func workerKey(id string) Key { return Key{PK: workersPK, SK: id} }

func buriedKey(id string) Key { return Key{PK: buriedPK, SK: id} }

func apiKeyKey(id string) Key { return Key{PK: keysPK, SK: id} }

func movedKey(company, worker string, n int) Key {
	return Key{PK: companyPK(company), SK: movedPrefix + worker + "#" + strconv.Itoa(n)}
}

// ownerIndex is where a channel that wants attention is found by its owner, or
// by anyone when it has none.
func ownerIndex(worker, channelID string) Key {
	return Key{PK: "OWNER#" + orNone(worker), SK: channelID}
}

// namedIndex is where the channels of all companies are found, by their names' items.
func namedIndex(channelID string) Key { return Key{PK: "NAMED", SK: channelID} }

func outboxIndex(worker, channelID string, seq int64) Key {
	return Key{PK: outboxPK(worker), SK: channelID + "#" + seqSK(seq)}
}

func outboxPK(worker string) string { return "OUT#" + orNone(worker) }

func orNone(worker string) string {
	if worker == "" {
		return noWorker
	}
	return worker
}

// SignalPK is the partition of a channel's hot Signal state, read whole at claim.
func SignalPK(channelID string) string { return signalPKPrefix + channelID }

// BulkPK is the partition of a channel's Signal state that is read on demand.
func BulkPK(channelID string) string { return bulkPKPrefix + channelID }
