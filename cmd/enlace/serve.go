package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/enlacehq/enlace/strategies/socket"
)

type serveCommand struct {
	serviceFlags `embed:""`

	WhatsappURL     string `help:"Connect to this server in place of WhatsApp: ws://HOST:PORT/PATH." placeholder:"URL"`
	WhatsappRootKey string `help:"The public key that signs that server's certificates, 64 hex digits." placeholder:"HEX"`
}

func (c *serveCommand) Run(ctx context.Context, log *slog.Logger) error {
	endpoint, err := socket.ParseEndpoint(c.WhatsappURL, c.WhatsappRootKey)
	if err != nil {
		return fmt.Errorf("--whatsapp-url, --whatsapp-root-key: %w", err)
	}
	service, err := newService(ctx, c.serviceFlags, endpoint, log)
	if err != nil {
		return err
	}
	fmt.Printf("enlace listens on %s\n", service.url())
	if service.adminKey != "" {
		fmt.Printf("admin API key in %s\n", service.adminKey)
	}
	return service.run(ctx)
}
