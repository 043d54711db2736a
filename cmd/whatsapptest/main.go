// Command whatsapptest is a WhatsApp server on this machine, with the phones
// that use it, for tests and demos. Clients connect to its websocket; what the
// phones do is asked for over HTTP on the same address.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/enlacehq/enlace/whatsapptest"
	signallog "go.mau.fi/libsignal/logger"
)

type flags struct {
	Addr           string        `help:"Where to listen, HOST:PORT." default:"127.0.0.1:9000"`
	State          string        `help:"Keep the state in FILE, so that it survives a restart." placeholder:"FILE" type:"path"`
	Revision       uint32        `help:"The client revision that the version page names." default:"${revision}"`
	MinRevision    uint32        `help:"Refuse clients of a lower revision (failure 405)."`
	QRCodes        int           `help:"How many codes a client gets to be linked with." name:"qr-codes" default:"6"`
	PairingTime    time.Duration `help:"How long a client that is not linked may stay connected." default:"180s"`
	History        int           `help:"Offer each newly linked device its history, with so many made-up messages; -1 is without those." default:"0"`
	HandshakeDelay time.Duration `help:"How long to wait before the first stanza; Baileys 6 wants 100ms." default:"0s"`
	Calls          bool          `help:"List the calls of the control API and exit."`
	Verbose        bool          `help:"Log what happens." short:"v"`
}

func main() {
	var silent signallog.Loggable = quiet{}
	signallog.Setup(&silent)
	var f flags
	kong.Parse(&f,
		kong.Name("whatsapptest"),
		kong.Description("A WhatsApp server for tests, with its phones."),
		kong.Vars{"revision": fmt.Sprint(whatsapptest.DefaultRevision)},
	)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "whatsapptest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	if f.Calls {
		_, err := fmt.Print(whatsapptest.Control)
		return err
	}
	level := slog.LevelWarn
	if f.Verbose {
		level = slog.LevelDebug
	}
	srv, err := whatsapptest.New(whatsapptest.Options{
		StateFile:      f.State,
		Revision:       f.Revision,
		MinRevision:    f.MinRevision,
		QRCodes:        f.QRCodes,
		PairingTime:    f.PairingTime,
		History:        f.History,
		HandshakeDelay: f.HandshakeDelay,
		Log:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", f.Addr)
	if err != nil {
		return err
	}
	root := srv.RootKey()
	fmt.Printf("WhatsApp server   ws://%s/ws/chat\n", ln.Addr())
	fmt.Printf("root key          %s\n", hex.EncodeToString(root[:]))
	fmt.Printf("control           http://%s (whatsapptest --calls)\n", ln.Addr())
	return srv.Serve(ctx, ln)
}
