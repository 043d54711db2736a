package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	deadSuffix = "-dead"
	retention  = 14 * 24 * time.Hour // the longest that SQS keeps a message
)

// Create makes the queue and its dead-letter queue, named after it with -dead, as
// far as they do not exist, and reports whether there was something to make. Of a
// queue that exists it changes nothing, but gives it a dead-letter queue if it has none.
func (q *Queue) Create(ctx context.Context) (made bool, err error) {
	name, err := queueName(q.url)
	if err != nil {
		return false, err
	}
	url, made, err := q.create(ctx, name, map[string]string{
		string(types.QueueAttributeNameVisibilityTimeout): strconv.Itoa(int(seconds(q.options.Visibility))),
	})
	if err != nil {
		return false, err
	}
	if !sameQueue(url, q.url) {
		return made, fmt.Errorf("queue %s: with these AWS credentials and settings %s is %s", q.url, name, url)
	}
	policy, err := q.policy(ctx)
	if err != nil || policy.Target != "" {
		return made, err
	}
	return true, q.giveDeadLetters(ctx, name+deadSuffix)
}

// create makes one queue of SQS unless it exists, and returns its URL.
func (q *Queue) create(ctx context.Context, name string, attributes map[string]string) (url string, made bool, err error) {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	there, err := q.client.GetQueueUrl(calling, &sqs.GetQueueUrlInput{QueueName: &name})
	if err == nil {
		return aws.ToString(there.QueueUrl), false, nil
	}
	if !isMissing(err) {
		return "", false, q.failed(ctx, "look for "+name, err)
	}
	attributes[string(types.QueueAttributeNameMessageRetentionPeriod)] = strconv.Itoa(int(seconds(retention)))
	created, err := q.client.CreateQueue(calling, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return "", false, q.failed(ctx, "make "+name, err)
	}
	return aws.ToString(created.QueueUrl), true, nil
}

// giveDeadLetters makes the dead-letter queue and names it to the queue.
func (q *Queue) giveDeadLetters(ctx context.Context, name string) error {
	dead, _, err := q.create(ctx, name, map[string]string{})
	if err != nil {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	output, err := q.client.GetQueueAttributes(calling, &sqs.GetQueueAttributesInput{
		QueueUrl: &dead, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return q.failed(ctx, "read the settings of "+name, err)
	}
	policy, err := json.Marshal(redrivePolicy{
		Target:      output.Attributes[string(types.QueueAttributeNameQueueArn)],
		MaxReceives: json.Number(strconv.Itoa(q.options.MaxReceives)),
	})
	if err != nil {
		return err
	}
	_, err = q.client.SetQueueAttributes(calling, &sqs.SetQueueAttributesInput{
		QueueUrl: &q.url, Attributes: map[string]string{string(types.QueueAttributeNameRedrivePolicy): string(policy)},
	})
	if err != nil {
		return q.failed(ctx, "name its dead-letter queue", err)
	}
	return nil
}

// Check returns nil if the queue and its dead-letter queue are there and can be
// read, else one line that says what is wrong.
func (q *Queue) Check(ctx context.Context) error {
	_, err := q.deadLetters(ctx)
	return err
}

// queueName is the last part of a queue's URL, https://HOST/ACCOUNT/NAME.
func queueName(address string) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || strings.Count(parsed.Path, "/") < 2 || path.Base(parsed.Path) == "/" {
		return "", fmt.Errorf("%q is not the URL of a queue: want https://sqs.REGION.amazonaws.com/ACCOUNT/NAME", address)
	}
	return path.Base(parsed.Path), nil
}

// sameQueue compares account and name: hosts have several names.
func sameQueue(a, b string) bool {
	first, err := url.Parse(a)
	second, err2 := url.Parse(b)
	return err == nil && err2 == nil && first.Path == second.Path
}

var regionInHost = regexp.MustCompile(`(?:^|[/.])sqs(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws)`)

// regionOf is the region that a queue's URL names, or empty.
func regionOf(address string) string {
	if found := regionInHost.FindStringSubmatch(address); found != nil {
		return found[1]
	}
	return ""
}
