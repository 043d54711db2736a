package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/enlacehq/enlace/queue"
)

// What a message of the dead-letter queue says of how it came there. One without
// was moved by SQS itself, after it was received too often.
const (
	reasonAttribute   = "reason"
	receivedAttribute = "received"
)

// lookTime hides dead jobs from other listings while they are listed or sent
// again; what is left of them is shown again at the end.
const lookTime = 30 * time.Second

// deadLetters is where a queue's dead jobs are.
type deadLetters struct {
	url         string
	maxReceives int // how often SQS delivers a job before it moves it there
}

// redrivePolicy is how a queue names its dead-letter queue.
type redrivePolicy struct {
	Target      string      `json:"deadLetterTargetArn"`
	MaxReceives json.Number `json:"maxReceiveCount"` // SQS takes and gives it quoted, too
}

// deadLetters finds the dead-letter queue that the queue's own settings name.
func (q *Queue) deadLetters(ctx context.Context) (*deadLetters, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead != nil {
		return q.dead, nil
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	policy, err := q.policy(ctx)
	if err != nil {
		return nil, err
	}
	if policy.Target == "" {
		return nil, fmt.Errorf("queue %s has no dead-letter queue: enlace setup makes one", q.url)
	}
	maxReceives, err := strconv.Atoi(string(policy.MaxReceives))
	if err != nil {
		return nil, fmt.Errorf("queue %s: redrive policy: %w", q.url, err)
	}
	name := policy.Target[strings.LastIndex(policy.Target, ":")+1:]
	output, err := q.client.GetQueueUrl(calling, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return nil, q.failed(ctx, "find the dead-letter queue "+name, err)
	}
	q.dead = &deadLetters{url: aws.ToString(output.QueueUrl), maxReceives: maxReceives}
	return q.dead, nil
}

// policy reads the queue's redrive policy; a zero one: it has none.
func (q *Queue) policy(ctx context.Context) (redrivePolicy, error) {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	output, err := q.client.GetQueueAttributes(calling, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		return redrivePolicy{}, q.failed(ctx, "read its settings", err)
	}
	text := output.Attributes[string(types.QueueAttributeNameRedrivePolicy)]
	if text == "" {
		return redrivePolicy{}, nil
	}
	var policy redrivePolicy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return redrivePolicy{}, fmt.Errorf("queue %s: redrive policy: %w", q.url, err)
	}
	return policy, nil
}

// Bury sets a job aside. A crash in the middle leaves it in both queues, never in none.
func (q *Queue) Bury(ctx context.Context, d queue.Delivery, reason string) error {
	if err := q.Extend(ctx, d, lookTime); err != nil {
		return err
	}
	body, err := json.Marshal(d.Job)
	if err != nil {
		return err
	}
	return q.setAside(ctx, string(body), d.Received, reason, &d.Receipt)
}

// setAside moves the message that receipt holds to the dead-letter queue.
func (q *Queue) setAside(ctx context.Context, body string, received int, reason string, receipt *string) error {
	dead, err := q.deadLetters(ctx)
	if err != nil {
		return fmt.Errorf("set job aside: %w", err)
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = q.client.SendMessage(calling, &sqs.SendMessageInput{
		QueueUrl: &dead.url, MessageBody: &body,
		MessageAttributes: map[string]types.MessageAttributeValue{
			reasonAttribute:   {DataType: aws.String("String"), StringValue: aws.String(sendable(reason))},
			receivedAttribute: {DataType: aws.String("Number"), StringValue: aws.String(strconv.Itoa(received))},
		},
	})
	if err != nil {
		return q.failed(ctx, "set job aside", err)
	}
	return q.remove(ctx, q.url, []*string{receipt})
}

// sendable is text as SQS takes it: not empty, and without control characters.
func sendable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if strings.TrimSpace(text) == "" {
		return "no reason was given"
	}
	return text
}

// Dead lists what lies in the dead-letter queue. While it does, another listing
// sees only the rest. Of more than max jobs any max are listed. SQS tells neither
// when it moved a job itself nor why: At is then when the job was sent.
func (q *Queue) Dead(ctx context.Context, max int) ([]queue.DeadJob, error) {
	dead, err := q.deadLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("list dead jobs: %w", err)
	}
	var list []queue.DeadJob
	err = q.eachDead(ctx, dead, func(messages []types.Message) (taken []*string, more bool, err error) {
		for _, m := range messages {
			list = append(list, deadJob(m, dead))
		}
		return nil, len(list) < max, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead jobs: %w", err)
	}
	slices.SortStableFunc(list, func(a, b queue.DeadJob) int { return a.At.Compare(b.At) })
	return list[:min(max, len(list))], nil
}

func deadJob(m types.Message, dead *deadLetters) queue.DeadJob {
	job := queue.DeadJob{Body: aws.ToString(m.Body), Received: dead.maxReceives}
	sent, _ := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	job.At = time.UnixMilli(sent).UTC()
	reason, ok := m.MessageAttributes[reasonAttribute]
	if !ok {
		job.Reason = fmt.Sprintf("received %d times and never done", dead.maxReceives)
		return job
	}
	job.Reason = aws.ToString(reason.StringValue)
	job.Received, _ = strconv.Atoi(aws.ToString(m.MessageAttributes[receivedAttribute].StringValue))
	return job
}

// Redrive sends the dead jobs again. A crash in the middle leaves a job in both
// queues, never in none.
func (q *Queue) Redrive(ctx context.Context) (sent, left int, err error) {
	dead, err := q.deadLetters(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("redrive: %w", err)
	}
	err = q.eachDead(ctx, dead, func(messages []types.Message) (taken []*string, more bool, err error) {
		var jobs []types.Message
		for _, m := range messages {
			if _, err := parse(aws.ToString(m.Body)); err != nil {
				left++
				continue
			}
			jobs = append(jobs, m)
		}
		taken, err = q.sendAgain(ctx, jobs)
		if err := q.remove(ctx, dead.url, taken); err != nil {
			return taken, false, err
		}
		sent += len(taken)
		return taken, true, err
	})
	if err != nil {
		return sent, left, fmt.Errorf("redrive: %w", err)
	}
	return sent, left, nil
}

// sendAgain puts the bodies of at most ten messages into the queue as new jobs and
// returns the receipts of those that are there.
func (q *Queue) sendAgain(ctx context.Context, messages []types.Message) ([]*string, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	entries := make([]types.SendMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: m.Body}
	}
	output, err := q.client.SendMessageBatch(calling, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
	if err != nil {
		return nil, q.failed(ctx, "send jobs again", err)
	}
	var there []*string
	for _, entry := range output.Successful {
		i, err := strconv.Atoi(aws.ToString(entry.Id))
		if err != nil || i < 0 || i >= len(messages) {
			return there, fmt.Errorf("queue %s: an answer to an entry that was not sent: %q", q.url, aws.ToString(entry.Id))
		}
		there = append(there, messages[i].ReceiptHandle)
	}
	for _, entry := range output.Failed {
		err = errors.Join(err, fmt.Errorf("queue %s: send jobs again: %s: %s", q.url, aws.ToString(entry.Code), aws.ToString(entry.Message)))
	}
	return there, err
}

// eachDead shows do the dead messages, ten at a time and each once, until there
// are no more or do wants none. Those that do has not taken away are visible
// to others again afterwards.
func (q *Queue) eachDead(ctx context.Context, dead *deadLetters, do func([]types.Message) (taken []*string, more bool, err error)) error {
	seen := map[string]*string{} // the newest receipt of each message that is still there
	defer func() { q.show(context.WithoutCancel(ctx), dead, seen) }()
	hide := lookTime
	for {
		messages, err := q.poll(ctx, dead.url, batch, time.Second, &hide)
		if err != nil {
			return q.failed(ctx, "read the dead-letter queue", err)
		}
		var fresh []types.Message
		for _, m := range messages {
			if _, known := seen[aws.ToString(m.MessageId)]; !known {
				fresh = append(fresh, m)
			}
			seen[aws.ToString(m.MessageId)] = m.ReceiptHandle
		}
		if len(fresh) == 0 { // none left, or the first ones come round again
			return nil
		}
		taken, more, err := do(fresh)
		for id, receipt := range seen {
			if slices.Contains(taken, receipt) {
				delete(seen, id)
			}
		}
		if err != nil || !more {
			return err
		}
	}
}

// show ends the hiding of messages. One that stays hidden comes back by itself
// after lookTime, so that a failure is none.
func (q *Queue) show(ctx context.Context, dead *deadLetters, receipts map[string]*string) {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var entries []types.ChangeMessageVisibilityBatchRequestEntry
	for _, receipt := range receipts {
		entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(len(entries))), ReceiptHandle: receipt, VisibilityTimeout: 0,
		})
	}
	for some := range slices.Chunk(entries, batch) {
		_, _ = q.client.ChangeMessageVisibilityBatch(calling, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &dead.url, Entries: some})
	}
}
