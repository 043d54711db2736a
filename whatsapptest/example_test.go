package whatsapptest_test

import (
	"context"
	"fmt"

	"github.com/enlacehq/enlace/whatsapptest"
)

// Two phones write to each other. A client is linked in the same way: it
// connects to the server's URL, and Scan takes the code that it shows.
func Example() {
	srv, err := whatsapptest.New(whatsapptest.Options{})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()

	if _, err := srv.Send("15550001111", whatsapptest.Outgoing{To: "15550002222", Text: "Hola"}); err != nil {
		panic(err)
	}
	list, err := srv.Messages("15550002222")
	if err != nil {
		panic(err)
	}
	for _, m := range list.Messages {
		fmt.Printf("%s: %s\n", m.From, m.Text)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// 15550001111: Hola
	// <nil>
}
