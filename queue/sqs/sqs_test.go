package sqs_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/queue/queuetest"
	"github.com/enlacehq/enlace/queue/sqs"
)

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

const maxReceives = 3

// settings reach the test's SQS.
func settings(endpoint string) aws.Config {
	return aws.Config{
		Region: engines.Region, BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKeyID, engines.SecretAccessKey, ""),
	}
}

// newURL names a queue that does not exist.
func newURL(endpoint string) string { return endpoint + "/000000000000/jobs-" + rand.Text() }

func open(t testing.TB, endpoint, url string, options sqs.Options) *sqs.Queue {
	t.Helper()
	q, err := sqs.New(settings(endpoint), url, options)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func create(t testing.TB, q *sqs.Queue) {
	t.Helper()
	if made, err := q.Create(t.Context()); err != nil || !made {
		t.Fatalf("create: made %v, %v", made, err)
	}
}

// send puts a body into the queue as it is.
func send(ctx context.Context, endpoint, url, body string) error {
	_, err := awssqs.NewFromConfig(settings(endpoint)).SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	return err
}

func TestQueue(t *testing.T) {
	endpoint := engines.SQS(t)
	queuetest.Run(t, queuetest.Setup{
		MaxReceives: maxReceives,
		Shortest:    time.Second,
		New: func(t testing.TB, visibility time.Duration) queuetest.Subject {
			url := newURL(endpoint)
			q := open(t, endpoint, url, sqs.Options{Visibility: visibility, MaxReceives: maxReceives})
			create(t, q)
			return queuetest.Subject{
				Queue:  q,
				Reopen: func() queue.Queue { return open(t, endpoint, url, sqs.Options{}) },
				SendRaw: func(ctx context.Context, body string) error {
					// What SQS itself refuses nobody can put into a queue.
					if body == "" || strings.ContainsFunc(body, unicode.IsControl) {
						body = " "
					}
					return send(ctx, endpoint, url, body)
				},
			}
		},
	})
}

func TestReceive_TakesCopiesOfAJobAndNoMoreThanTenAtOnce(t *testing.T) {
	endpoint := engines.SQS(t)
	q := open(t, endpoint, newURL(endpoint), sqs.Options{})
	create(t, q)
	for range 12 {
		if err := q.Send(t.Context(), enlace.Job{ChannelID: "same"}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := q.Receive(t.Context(), 100, 5*time.Second)
	if err != nil || len(first) == 0 || len(first) > 10 {
		t.Fatalf("received %d, %v, want one to ten", len(first), err)
	}
	if err := q.Done(t.Context(), first...); err != nil {
		t.Fatal(err)
	}
	rest, err := q.Receive(t.Context(), 100, 5*time.Second)
	if err != nil || len(rest)+len(first) != 12 {
		t.Errorf("received %d after %d, %v, want 12 together: copies are jobs of their own", len(rest), len(first), err)
	}
}

func TestCreate_KeepsWhatExists(t *testing.T) {
	endpoint := engines.SQS(t)
	url := newURL(endpoint)
	q := open(t, endpoint, url, sqs.Options{})
	create(t, q)
	if err := q.Send(t.Context(), enlace.Job{ChannelID: "a"}); err != nil {
		t.Fatal(err)
	}
	again := open(t, endpoint, url, sqs.Options{Visibility: time.Minute})
	if made, err := again.Create(t.Context()); err != nil || made {
		t.Errorf("create again: made %v, %v, want nothing to make", made, err)
	}
	if err := again.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := again.Receive(t.Context(), 1, 5*time.Second); err != nil || len(got) != 1 {
		t.Errorf("received %+v, %v, want the job of before", got, err)
	}
}

func TestCheck_SaysInOneLineWhatIsWrong(t *testing.T) {
	endpoint := engines.SQS(t)
	bare := newURL(endpoint)
	name := bare[strings.LastIndex(bare, "/")+1:]
	if _, err := awssqs.NewFromConfig(settings(endpoint)).CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &name}); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		endpoint, url string
		want          string
	}{
		"no queue":             {endpoint, newURL(endpoint), "no such queue in region us-east-1"},
		"no dead-letter queue": {endpoint, bare, "has no dead-letter queue: enlace setup makes one"},
		"nobody listens":       {deadEndpoint(t), newURL(endpoint), "no answer from SQS in region us-east-1"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			err := open(t, test.endpoint, test.url, sqs.Options{}).Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.url) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q and the queue's URL", err, test.want)
			}
		})
	}
}

// deadEndpoint is one where nobody listens.
func deadEndpoint(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

func TestQueue_WithoutSQSSaysSoAndLosesNothingOfTheContext(t *testing.T) {
	q := open(t, deadEndpoint(t), newURL("http://127.0.0.1"), sqs.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := q.Send(ctx, enlace.Job{ChannelID: "a"})
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("send: %v, want an error that is not the caller's deadline", err)
	}
	cancel()
	if err := q.Send(ctx, enlace.Job{ChannelID: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("send after the caller left: %v, want the context's error", err)
	}
}

func TestNew_TakesTheRegionFromTheURL(t *testing.T) {
	for url, wrong := range map[string]string{
		"https://sqs.eu-west-1.amazonaws.com/123456789012/jobs": "",
		"jobs": "is not the URL of a queue",
		"https://sqs.eu-west-1.amazonaws.com/jobs": "is not the URL of a queue",
		"ftp://host/123456789012/jobs":             "is not the URL of a queue",
		"http://127.0.0.1:9324/000000000000/jobs":  "no region: set AWS_REGION",
	} {
		_, err := sqs.New(aws.Config{}, url, sqs.Options{})
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %v, want %q", url, err, wrong)
		}
	}
}
