package dynamodb

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/enlacehq/enlace/store"
)

// failure is why a request has no answer, or which error it was answered by.
type failure struct {
	err  error
	kind kind
}

// kind says what a failure means for what was asked.
type kind int

const (
	unsent  kind = iota // nothing reached the engine
	unknown             // it may have been done
	busy                // not done; to be sent again
	refused             // not done, and sending it again will not help
	failed              // not done, because of a condition
)

func kindOf(err error, sent bool) kind {
	switch {
	case !sent:
		return unsent
	case errors.Is(err, errNothingProcessed):
		return busy
	case errors.Is(err, errForeign):
		return refused
	}
	var response *awshttp.ResponseError
	var api smithy.APIError
	switch {
	case !errors.As(err, &response):
		return unknown // no answer, or half of one
	case response.HTTPStatusCode() >= http.StatusInternalServerError:
		return unknown
	case response.HTTPStatusCode() < http.StatusBadRequest:
		return unknown // done, as it seems, but the answer cannot be read
	case !errors.As(err, &api):
		return refused
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "TransactionConflictException",
		"ReplicatedWriteConflictException", "ExpiredTokenException":
		return busy
	case "ConditionalCheckFailedException":
		return failed
	case "TransactionInProgressException", "IdempotentParameterMismatchException":
		return unknown // an earlier try is under way, or was done otherwise
	case "TransactionCanceledException":
		return cancelledKind(err)
	}
	return refused
}

// cancelledKind is the kind of a cancelled transaction, which did nothing: failed if
// a condition did, else busy, unless a reason is there that will not pass.
func cancelledKind(err error) kind {
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return refused
	}
	passing := []string{
		"", "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "InternalServerError",
	}
	if slices.ContainsFunc(cancelled.CancellationReasons, isConditionFailed) {
		return failed
	}
	for _, reason := range cancelled.CancellationReasons {
		if !slices.Contains(passing, codeOf(reason)) {
			return refused
		}
	}
	return busy
}

func isConditionFailed(reason types.CancellationReason) bool {
	return codeOf(reason) == "ConditionalCheckFailed"
}

func codeOf(reason types.CancellationReason) string {
	if reason.Code == nil {
		return ""
	}
	return *reason.Code
}

// explain says in one line what the error of a request means that the engine refused.
func (db *DB) explain(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("dynamodb: table %q: %w", db.table, err)
	}
	switch api.ErrorCode() {
	case "ResourceNotFoundException":
		return fmt.Errorf("dynamodb: there is no table %q %s", db.table, db.where())
	case "AccessDeniedException":
		return fmt.Errorf("dynamodb: AWS does not allow it: %s", api.ErrorMessage())
	case "UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException",
		"IncompleteSignatureException", "InvalidClientTokenId", "SignatureDoesNotMatch":
		return fmt.Errorf("dynamodb: AWS does not take these credentials: %s", api.ErrorMessage())
	}
	return fmt.Errorf("dynamodb: table %q: %s", db.table, brief(err))
}

// brief is what matters of an error of the SDK, in one line.
func brief(err error) string {
	text := err.Error()
	var api smithy.APIError
	var request *url.Error
	switch {
	case errors.As(err, &api):
		text = api.ErrorCode() + ": " + api.ErrorMessage()
	case errors.As(err, &request):
		text = request.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}

var (
	// errNothingProcessed is of a batch of which the engine did nothing: it is busy.
	errNothingProcessed = errors.New("nothing of the batch was processed")
	// errForeign is of an item that this program did not put there.
	errForeign = errors.New("the item is not one of enlace's")
)

var errTooLarge = fmt.Errorf("dynamodb: one write of more than %d bytes: %w", maxWriteBytes, store.ErrTooLarge)
