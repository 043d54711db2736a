// Package sqs is a queue.Queue on Amazon SQS: a standard queue for the jobs, and
// its dead-letter queue for those that were set aside. SQS may deliver a job
// twice, and in any order; a job is a wake-up, so that neither matters.
package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/logging"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
)

// What Create gives a queue where Options say nothing.
const (
	DefaultVisibility  = 30 * time.Second
	DefaultMaxReceives = 5
)

// The limits of SQS.
const (
	longestPoll   = 20 * time.Second
	longestHidden = 12 * time.Hour
	batch         = 10
)

// callTime is how long a call may take, its repeats included, beside the time
// that it waits for jobs.
const callTime = 10 * time.Second

// Options may be left zero. They matter to Create alone: of a queue that exists
// its own settings hold.
type Options struct {
	Visibility  time.Duration // how long a received job is hidden from others; whole seconds
	MaxReceives int           // received more often than that, a job is dead
}

// Queue is one queue of SQS. It is safe for concurrent use.
type Queue struct {
	client  *sqs.Client
	url     string
	region  string
	options Options

	mu   sync.Mutex
	dead *deadLetters // nil until it is needed
}

var _ queue.Queue = (*Queue)(nil)

// Open returns the queue at url. Region, credentials and endpoint are found the
// way the AWS SDK finds them; a region in the url wins. Nothing is asked of SQS
// before the first call: Check does.
func Open(ctx context.Context, url string, options Options) (*Queue, error) {
	loaded, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("AWS settings: %w", err)
	}
	return New(loaded, url, options)
}

// New is Open with given settings.
func New(settings aws.Config, url string, options Options) (*Queue, error) {
	if _, err := queueName(url); err != nil {
		return nil, err
	}
	if region := regionOf(url); region != "" {
		settings.Region = region
	}
	if settings.Region == "" {
		return nil, fmt.Errorf("queue %s: no region: set AWS_REGION", url)
	}
	if options.Visibility == 0 {
		options.Visibility = DefaultVisibility
	}
	if options.MaxReceives == 0 {
		options.MaxReceives = DefaultMaxReceives
	}
	return &Queue{client: sqs.NewFromConfig(settings), url: url, region: settings.Region, options: options}, nil
}

// Send stores a job.
func (q *Queue) Send(ctx context.Context, job enlace.Job) error {
	body, err := json.Marshal(job)
	if err != nil {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = q.client.SendMessage(calling, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(string(body))})
	if err != nil {
		return q.failed(ctx, "send job", err)
	}
	return nil
}

// Receive waits for jobs by long polling; at most ten come at a time. A wait of
// less than a second looks once. Of a call that is cancelled SQS may have hidden
// jobs already: they come again after the visibility time.
func (q *Queue) Receive(ctx context.Context, max int, wait time.Duration) ([]queue.Delivery, error) {
	end := time.Now().Add(wait)
	for {
		messages, err := q.poll(ctx, q.url, max, time.Until(end), nil)
		if err != nil {
			return nil, q.failed(ctx, "receive jobs", err)
		}
		deliveries, err := q.sort(ctx, messages)
		if err != nil || len(deliveries) > 0 || time.Until(end) < time.Second {
			return deliveries, err
		}
	}
}

// poll asks a queue of SQS for messages once. hide, if not nil, hides them
// for so long instead of the queue's own time.
func (q *Queue) poll(ctx context.Context, url string, max int, wait time.Duration, hide *time.Duration) ([]types.Message, error) {
	wait = min(wait.Truncate(time.Second), longestPoll)
	if wait < 0 {
		wait = 0
	}
	calling, cancel := context.WithTimeout(ctx, wait+callTime)
	defer cancel()
	input := &sqs.ReceiveMessageInput{
		QueueUrl:                    &url,
		MaxNumberOfMessages:         int32(min(max, batch)),
		WaitTimeSeconds:             seconds(wait),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	}
	if hide != nil {
		input.VisibilityTimeout = seconds(*hide)
	}
	output, err := q.client.ReceiveMessage(calling, input)
	if err != nil {
		return nil, err
	}
	return output.Messages, nil
}

// sort makes deliveries of messages and sets aside what is no job.
func (q *Queue) sort(ctx context.Context, messages []types.Message) ([]queue.Delivery, error) {
	var deliveries []queue.Delivery
	var failed error
	for _, m := range messages {
		received, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
		job, err := parse(aws.ToString(m.Body))
		if err != nil {
			failed = errors.Join(failed, q.setAside(ctx, aws.ToString(m.Body), received, err.Error(), m.ReceiptHandle))
			continue
		}
		deliveries = append(deliveries, queue.Delivery{Job: job, Received: received, Receipt: aws.ToString(m.ReceiptHandle)})
	}
	return deliveries, failed
}

func parse(body string) (enlace.Job, error) {
	var job enlace.Job
	if err := json.Unmarshal([]byte(body), &job); err != nil || job.ChannelID == "" {
		return enlace.Job{}, errors.New("not a job")
	}
	return job, nil
}

// Extend hides a job for longer, in whole seconds, rounded up. Twelve hours after
// a job was received SQS delivers it again all the same.
func (q *Queue) Extend(ctx context.Context, d queue.Delivery, by time.Duration) error {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := q.client.ChangeMessageVisibility(calling, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &d.Receipt, VisibilityTimeout: seconds(min(by, longestHidden)),
	})
	switch {
	case err == nil:
		return nil
	case outdated(err):
		return queue.ErrNotHeld
	}
	return q.failed(ctx, "extend job", err)
}

// Done removes jobs, ten in a call.
func (q *Queue) Done(ctx context.Context, deliveries ...queue.Delivery) error {
	receipts := make([]*string, len(deliveries))
	for i := range deliveries {
		receipts[i] = &deliveries[i].Receipt
	}
	return q.remove(ctx, q.url, receipts)
}

// remove deletes messages; those that their receipts no longer hold are left.
func (q *Queue) remove(ctx context.Context, url string, receipts []*string) error {
	for len(receipts) > 0 {
		n := min(len(receipts), batch)
		if err := q.removeBatch(ctx, url, receipts[:n]); err != nil {
			return err
		}
		receipts = receipts[n:]
	}
	return nil
}

func (q *Queue) removeBatch(ctx context.Context, url string, receipts []*string) error {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	entries := make([]types.DeleteMessageBatchRequestEntry, len(receipts))
	for i, receipt := range receipts {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: receipt}
	}
	output, err := q.client.DeleteMessageBatch(calling, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries})
	if err != nil {
		return q.failed(ctx, "end job", err)
	}
	for _, entry := range output.Failed {
		if !outdatedCode(aws.ToString(entry.Code)) {
			return fmt.Errorf("queue %s: end job: %s: %s", q.url, aws.ToString(entry.Code), aws.ToString(entry.Message))
		}
	}
	return nil
}

// seconds is d as SQS takes it.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }
