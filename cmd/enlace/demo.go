package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/whatsapptest"
)

type demoCommand struct {
	folderFlags  `embed:""`
	serviceFlags `embed:""`

	WhatsappAddr string `help:"Where the demo's WhatsApp server listens, HOST:PORT; port 0 is a free one." default:"127.0.0.1:9000"`
}

func (c *demoCommand) Run(ctx context.Context, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return err
	}
	table, err := c.inFolder()
	if err != nil {
		return err
	}
	if err := makeFolder(c.Data); err != nil {
		return err
	}
	phones, err := whatsapptest.New(whatsapptest.Options{
		StateFile: filepath.Join(c.Data, phonesFile), Log: log.With("part", "whatsapptest"),
	})
	if err != nil {
		return fmt.Errorf("the demo's WhatsApp server: %w", err)
	}
	listener, err := listen(ctx, c.WhatsappAddr)
	if err != nil {
		return err
	}
	// The server outlives ctx: the sessions that end with it say goodbye first.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- phones.Serve(serving, listener) }()

	address := &url.URL{Scheme: "ws", Host: listener.Addr().String(), Path: "/ws/chat"}
	names := places.Names{Store: table, Queue: places.Queue{Kind: places.Embedded}, Seal: sealBeside(table)}
	service, err := newService(ctx, names, c.serviceFlags, socket.Endpoint{URL: address, RootKey: phones.RootKey()}, log)
	if err == nil {
		fmt.Printf("enlace listens on %s\n%s", service.url(), demoText(service, "http://"+address.Host))
		err = service.run(ctx)
	}
	stop()
	return errors.Join(err, <-served)
}

// demoText is what to try, as lines for a shell.
func demoText(s *service, whatsapp string) string {
	return strings.NewReplacer(
		"{api}", s.url(), "{whatsapp}", whatsapp, "{data}", s.dir, "{pid}", fmt.Sprint(os.Getpid()),
	).Replace(`its WhatsApp is {whatsapp}

In another terminal:

  api={api}/v1/companies/acme/channels
  auth="Authorization: Bearer $(cat {data}/admin.key)"

  # Connect a channel. Its id is in the answer.
  curl -s -H "$auth" -H 'Content-Type: application/json' -d '{"type":"WHATSAPP_WEB"}' $api
  id=$(curl -s -H "$auth" $api | sed 's/.*"id":"\([^"]*\)".*/\1/')

  # Poll it: a QR code is in it. As a picture in the terminal:
  curl -s -H "$auth" $api/$id
  curl -s -H "$auth" -H 'Accept: text/plain' $api/$id/qr

  # The demo's phone scans the code.
  code=$(curl -s -H "$auth" -H 'Accept: application/json' $api/$id/qr | sed 's/.*"code":"\([^"]*\)".*/\1/')
  curl -s -d "{\"qr\":\"$code\"}" {whatsapp}/phones/14155550123/scan

  # It is active, with its phone number. What happened is in its log.
  curl -s -H "$auth" $api/$id
  curl -s -H "$auth" $api/$id/events

  # Another phone writes to it: see the text in the log.
  curl -s -d '{"to":"14155550123","text":"hello"}' {whatsapp}/phones/14155550199/messages
  curl -s -H "$auth" "$api/$id/events?type=message.received"

  # Answer: the phone receives it, and the message becomes delivered.
  curl -s -H "$auth" -H 'Content-Type: application/json' -d '{"to":"+14155550199","type":"text","text":{"body":"hello back"}}' $api/$id/messages
  curl -s {whatsapp}/phones/14155550199/messages
  curl -s -H "$auth" $api/$id/messages

  # Kill it, start it again: active, without a QR code.
  kill -9 {pid}

`)
}
