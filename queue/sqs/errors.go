package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// failed says in one line what could not be done with the queue, and why. If the
// caller's ctx has ended, that is the error; a time-out of our own never looks like it.
func (q *Queue) failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("queue %s: %s: %s", q.url, what, q.cause(err))
}

// cause is what people need of an error of the SDK.
func (q *Queue) cause(err error) string {
	var answer smithy.APIError
	answered := errors.As(err, &answer)
	switch {
	case isMissing(err):
		return "there is no such queue in region " + q.region + " (enlace setup makes one)"
	case answered && slices.Contains(forbiddenCodes, answer.ErrorCode()):
		return "not allowed with these AWS credentials: " + answer.ErrorCode() + ": " + firstLine(answer.ErrorMessage())
	case answered:
		return answer.ErrorCode() + ": " + firstLine(answer.ErrorMessage())
	case strings.Contains(err.Error(), "get credentials"):
		return "no AWS credentials: " + firstLine(err.Error())
	}
	return "no answer from SQS in region " + q.region + ": " + firstLine(err.Error())
}

// firstLine leaves out what a refused signature brings along.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// forbiddenCodes are how AWS refuses credentials or what they ask for.
var forbiddenCodes = []string{
	"AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
	"InvalidClientTokenId", "InvalidSecurity", "SignatureDoesNotMatch", "UnrecognizedClientException",
}

func isMissing(err error) bool {
	var missing *types.QueueDoesNotExist
	return errors.As(err, &missing)
}

// outdated reports whether SQS refused a receipt because its time ran out, the
// job was delivered again, or is done.
func outdated(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && outdatedCode(answer.ErrorCode())
}

// outdatedCode knows the codes of SQS's two protocols.
func outdatedCode(code string) bool {
	switch code {
	case "ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight",
		"InvalidParameterValue", "InvalidParameterValueException":
		return true
	}
	return false
}
