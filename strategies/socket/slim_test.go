package socket

import (
	"runtime"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

func TestSlim_GivesBackTheRoomForSentMessages(t *testing.T) {
	const clients = 100
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	kept := make([]*whatsmeow.Client, clients)
	for i := range kept {
		kept[i] = whatsmeow.NewClient(&wastore.Device{}, nil)
	}
	whole := heap() - before
	for _, wa := range kept {
		if !slim(wa) {
			t.Fatal("whatsmeow keeps its sent messages elsewhere now")
		}
	}
	if left := heap() - before; left > whole-clients*30<<10 {
		t.Errorf("a client has %d bytes, and %d after slim; want 30 KiB less", whole/clients, left/clients)
	}
	runtime.KeepAlive(kept)
}

func TestSlim_SentMessagesAreKeptAllTheSame(t *testing.T) {
	wa := whatsmeow.NewClient(&wastore.Device{}, nil)
	slim(wa)
	to := types.NewJID("1", types.DefaultUserServer)
	for _, id := range []types.MessageID{"a", "b"} {
		message := &waE2E.Message{Conversation: proto.String(id)}
		if err := wa.DangerousInternals().AddRecentMessage(t.Context(), to, id, message, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []types.MessageID{"a", "b"} {
		if got := wa.DangerousInternals().GetRecentMessage(to, id); got.IsEmpty() {
			t.Errorf("message %s is not kept", id)
		}
	}
	if slim(wa) {
		t.Error("a client that has sent was slimmed")
	}
}
