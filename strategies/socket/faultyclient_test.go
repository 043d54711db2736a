package socket

import (
	"context"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// faultyStrategy has the steps between sessions and the worker fail.
type faultyStrategy struct {
	strategies.Strategy
	faults *faults
}

func (s faultyStrategy) Open(ctx context.Context, owner *store.Owner) (strategies.Client, error) {
	c, err := s.Strategy.Open(ctx, owner)
	if err != nil {
		return nil, err
	}
	return faultyClient{c, s.faults}, nil
}

type faultyClient struct {
	strategies.Client
	faults *faults
}

func (c faultyClient) Run(ctx context.Context, o strategies.Observer) strategies.End {
	return c.Client.Run(ctx, faultyObserver{o, c.faults})
}

func (c faultyClient) Prepare(ctx context.Context, m *store.Outbound) (content []byte, err error) {
	c.faults.call("Client.Prepare", &err, func() { content, err = c.Client.Prepare(ctx, m) })
	return content, err
}

func (c faultyClient) Send(ctx context.Context, m *store.Outbound) (at time.Time, err error) {
	c.faults.call("Client.Send", &err, func() { at, err = c.Client.Send(ctx, m) })
	return at, err
}

func (c faultyClient) MarkRead(ctx context.Context, mark store.MarkRead) (err error) {
	c.faults.call("Client.MarkRead", &err, func() { err = c.Client.MarkRead(ctx, mark) })
	return err
}

type faultyObserver struct {
	strategies.Observer
	faults *faults
}

var _ strategies.Observer = faultyObserver{}

func (o faultyObserver) QR(ctx context.Context, qr enlace.QR) (err error) {
	o.faults.call("Observer.QR", &err, func() { err = o.Observer.QR(ctx, qr) })
	return err
}

func (o faultyObserver) Linked(ctx context.Context, account enlace.Account) (err error) {
	o.faults.call("Observer.Linked", &err, func() { err = o.Observer.Linked(ctx, account) })
	return err
}

func (o faultyObserver) Connected(ctx context.Context, account enlace.Account) (err error) {
	o.faults.call("Observer.Connected", &err, func() { err = o.Observer.Connected(ctx, account) })
	return err
}

func (o faultyObserver) Received(ctx context.Context, in store.Incoming) (err error) {
	o.faults.call("Observer.Received", &err, func() { err = o.Observer.Received(ctx, in) })
	return err
}

func (o faultyObserver) Unavailable(ctx context.Context, in store.Incoming) (err error) {
	o.faults.call("Observer.Unavailable", &err, func() { err = o.Observer.Unavailable(ctx, in) })
	return err
}

func (o faultyObserver) Receipt(ctx context.Context, receipt strategies.Receipt) (err error) {
	o.faults.call("Observer.Receipt", &err, func() { err = o.Observer.Receipt(ctx, receipt) })
	return err
}
