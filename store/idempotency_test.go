package store_test

import (
	"context"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

// between does something after the first write.
type between struct {
	store.Table
	do func()
}

func (t *between) Write(ctx context.Context, ops ...store.Op) error {
	err := t.Table.Write(ctx, ops...)
	if do := t.do; do != nil && err == nil {
		t.do = nil
		do()
	}
	return err
}

// A message that was refused, because the channel stopped taking messages while it
// was written, can be posted again under its key.
func TestPostMessage_AKeyOfWhatWasRefusedIsFree(t *testing.T) {
	b := setup(t)
	o := b.active("")
	table := &between{Table: b.table}
	s, err := store.Open(t.Context(), table, store.Options{Keys: b.keys, Now: b.clock.Now})
	b.ok(err)
	request := store.PostRequest{Message: text("15550101", "x"), IdempotencyKey: "k", Body: []byte("1")}
	table.do = func() { b.ok(o.Inactive(t.Context(), enlace.ReasonDisconnected)) }
	_, err = s.PostMessage(t.Context(), "acme", o.ChannelID(), request)
	b.wantCode(err, enlace.CodeChannelNotActive)
	if m := b.message(o.ChannelID(), "msg_1"); m.Status != enlace.MessageFailed || m.Error.Code != enlace.CodeChannelNotActive {
		t.Errorf("what was refused is %s %+v", m.Status, m.Error)
	}
	b.connect("")
	b.ok(o.StillOwner(t.Context()))
	b.ok(o.Ready(t.Context(), enlace.Account{}))
	if m := b.post(o.ChannelID(), request); m.ID == "msg_1" || m.Status != enlace.Queued {
		t.Errorf("posted again it is %s, %s", m.ID, m.Status)
	}
}
