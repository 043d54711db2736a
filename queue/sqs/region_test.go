package sqs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
)

func TestRegionOf(t *testing.T) {
	for url, want := range map[string]string{
		"https://sqs.eu-west-1.amazonaws.com/123456789012/jobs":                     "eu-west-1",
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs":                 "cn-north-1",
		"https://sqs-fips.us-east-1.amazonaws.com/123456789012/jobs":                "us-east-1",
		"https://vpce-0a1b-c2d3.sqs.us-east-2.vpce.amazonaws.com/123456789012/jobs": "us-east-2",
		"https://sqs.us-east-1.api.aws/123456789012/jobs":                           "us-east-1",
		"http://127.0.0.1:9324/000000000000/jobs":                                   "",
	} {
		if got := regionOf(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}

func TestCause_NamesWhatAWSRefused(t *testing.T) {
	q := &Queue{region: "eu-west-1"}
	denied := fmt.Errorf("operation error SQS: %w", &smithy.GenericAPIError{
		Code: "AccessDenied", Message: "User: arn:aws:iam::1:role/w is not authorized to perform: sqs:getqueueattributes\nCanonical string",
	})
	if got := q.cause(denied); !strings.Contains(got, "not allowed") || !strings.Contains(got, "sqs:getqueueattributes") || strings.Contains(got, "Canonical") {
		t.Errorf("denied: %q", got)
	}
	none := errors.New("operation error SQS: SendMessage, get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found")
	if got := q.cause(none); !strings.HasPrefix(got, "no AWS credentials") {
		t.Errorf("no credentials: %q", got)
	}
}
