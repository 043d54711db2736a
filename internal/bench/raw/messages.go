package main

import (
	"context"
	"fmt"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// receive waits for messages that no one has asked for yet.
func (f *fleet) receive(ctx context.Context, count int) ([]wire.Arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	came := make([]wire.Arrival, 0, count)
	for range count {
		select {
		case a := <-f.arrived:
			came = append(came, a)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages have come: %w", len(came), count, ctx.Err())
		}
	}
	return came, nil
}

// send sends from all devices at once, each message when the one before it was
// acknowledged.
func (f *fleet) send(ctx context.Context, command wire.Command) error {
	f.mu.Lock()
	clients := f.clients
	f.mu.Unlock()
	var group errgroup.Group
	for _, wa := range clients {
		group.Go(func() error { return sendEach(ctx, wa, command) })
	}
	return group.Wait()
}

func sendEach(ctx context.Context, wa *whatsmeow.Client, command wire.Command) error {
	to := types.NewJID(wire.Contact(wa.Store.ID.User), types.DefaultUserServer)
	for range command.Count {
		_, err := wa.SendMessage(ctx, to, &waE2E.Message{Conversation: proto.String(command.Text)})
		if err != nil {
			return err
		}
	}
	return nil
}
