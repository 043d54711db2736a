package engines

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"
)

// service is how one engine is fetched and started.
type service struct {
	name string
	// program fetches the engine and returns the command line that serves on port.
	program func(ctx context.Context, f *fetcher) (commandLine, error)
	// probe is a path that the engine answers, however, once it serves.
	probe string
}

type commandLine func(port int) (argv []string)

var (
	dynamoDBLocal = service{name: "DynamoDB Local", program: dynamoDBLocalProgram, probe: "/"}
	elasticMQ     = service{name: "ElasticMQ", program: elasticMQProgram, probe: "/?Action=ListQueues"}
	moto          = service{name: "moto's server", program: motoProgram, probe: "/moto-api/"}
)

func dynamoDBLocalProgram(ctx context.Context, f *fetcher) (commandLine, error) {
	java, lib, err := f.java(ctx, "DynamoDB Local", "dynamodb")
	if err != nil {
		return nil, err
	}
	return func(port int) []string {
		return append(jvm(java, lib), "-Djava.library.path="+lib,
			"software.amazon.dynamodb.services.local.main.ServerRunner",
			"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port))
	}, nil
}

// elasticMQConfig holds clients to what SQS allows. Queues, with their dead-letter
// queues, are made through the API; their URLs bear the address that the caller used.
const elasticMQConfig = `include classpath("application.conf")
generate-node-address = false
node-address { protocol = http, host = "127.0.0.1", port = ${enlace.port}, context-path = "" }
rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = ${enlace.port}, sqs-limits = strict }
rest-stats { enabled = false }
`

func elasticMQProgram(ctx context.Context, f *fetcher) (commandLine, error) {
	java, lib, err := f.java(ctx, "ElasticMQ", "sqs")
	if err != nil {
		return nil, err
	}
	config, err := f.file("elasticmq.conf", elasticMQConfig)
	if err != nil {
		return nil, err
	}
	return func(port int) []string {
		return append(jvm(java, lib), "-Dconfig.file="+config, "-Denlace.port="+strconv.Itoa(port),
			"org.elasticmq.server.Main")
	}, nil
}

func motoProgram(ctx context.Context, f *fetcher) (commandLine, error) {
	python, err := f.python(ctx, "moto's server", "python", requirements)
	if err != nil {
		return nil, err
	}
	return func(port int) []string {
		return []string{python, "-m", "moto.server", "-H", "127.0.0.1", "-p", strconv.Itoa(port)}
	}, nil
}

// jvm is a Java program that starts soon and stays small.
func jvm(java, lib string) []string {
	return []string{
		java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
		"-cp", filepath.Join(lib, "*"),
	}
}

// start starts the engine and returns when it answers.
func (s service) start(ctx context.Context, f *fetcher) (*process, error) {
	command, err := s.program(ctx, f)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := launch(s.name, port, command(port))
		if err != nil {
			return nil, err
		}
		err = s.answers(ctx, p)
		if err == nil {
			return p, nil
		}
		p.stop()
		if ctx.Err() != nil || try == 3 { // else another program may have taken the port
			return nil, err
		}
	}
}

// answers waits until p answers.
func (s service) answers(ctx context.Context, p *process) error {
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.endpoint()+s.probe, http.NoBody)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			select {
			case <-p.done: // what answered is another's
				return p.ended()
			default:
				return nil
			}
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("engines: %s does not answer: %w; its log ends:\n%s", s.name, ctx.Err(), p.log.end())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Free ports are taken from below those that systems give to connections, so that
// none is taken by one between its choice and the engine's start.
const (
	lowestPort  = 10000
	highestPort = 32000
)

func freePort() (int, error) {
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp4", net.JoinHostPort("", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("engines: no free port between %d and %d", lowestPort, highestPort)
}
