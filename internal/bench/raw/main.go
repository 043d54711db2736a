// Command raw is what the product is measured against: whatsmeow with its own
// SQL store, as its documentation shows it, in a process of its own. It reads
// commands from its standard input and answers each in one line, until the
// input ends. With -constant it is the other yardstick instead: a chi handler
// that answers every poll with the same 304.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"

	"go.mau.fi/whatsmeow"

	"github.com/enlacehq/enlace/internal/bench/probe"
	"github.com/enlacehq/enlace/internal/bench/wire"
)

func main() {
	server := flag.String("whatsapp", "", "address of the WhatsApp server's websocket")
	root := flag.String("root", "", "public key that signs its certificates, in hex")
	db := flag.String("db", "", "the SQLite file")
	conns := flag.Int("conns", 0, "how many connections to the file, unlimited when 0")
	hasty := flag.Bool("hasty", false, "do not sync the file to disk")
	eager := flag.Bool("eager", false, "acknowledge messages before they are stored")
	constant := flag.String("constant", "", "serve a constant 304 at this address, and nothing else")
	flag.Parse()

	probe.Start()
	err := error(nil)
	if *constant != "" {
		err = serveConstant(*constant)
	} else {
		err = serve(context.Background(), *server, *root, database{path: *db, conns: *conns, hasty: *hasty}, *eager)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, server, root string, db database, eager bool) error {
	address, err := url.Parse(server)
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(root)
	if err != nil || len(key) != 32 {
		return errors.New("the root key is 32 bytes in hex")
	}
	whatsmeow.WACertPubKey = [32]byte(key)
	f, err := openFleet(ctx, address, db, eager)
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var command wire.Command
		if err := in.Decode(&command); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		answer, err := f.do(ctx, command)
		if err != nil {
			answer = wire.Answer{Error: err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}
