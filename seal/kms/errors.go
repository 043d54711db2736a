package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/enlacehq/enlace/seal"
)

// failed says in one line what could not be done with the key, and why. Only what
// KMS found to be no ciphertext of this key and scope is unreadable; all else, a
// refusal and a missing key too, may be mended, and nothing is lost by it. If the
// caller's ctx has ended, that is the error.
func (h *Holder) failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	kind := seal.ErrUnavailable
	if unreadable(err) {
		kind = seal.ErrUnreadable
	}
	return fmt.Errorf("%w: %s: %s: %s", kind, h.key, what, cause(err))
}

func unreadable(err error) bool {
	var ciphertext *types.InvalidCiphertextException
	var key *types.IncorrectKeyException
	return errors.As(err, &ciphertext) || errors.As(err, &key)
}

// cause is what people need of an error of the SDK.
func cause(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		if strings.Contains(err.Error(), "get credentials") {
			return "no AWS credentials: " + firstLine(err.Error())
		}
		return "no answer from KMS: " + firstLine(err.Error())
	}
	said := answer.ErrorCode() + ": " + firstLine(answer.ErrorMessage())
	switch answer.ErrorCode() {
	case "NotFoundException":
		return "there is no such key: " + said
	case "DisabledException":
		return "the key is disabled: " + said
	case "KMSInvalidStateException":
		return "the key cannot be used in its state: " + said
	case "InvalidCiphertextException":
		return "it is damaged, or of another channel"
	case "IncorrectKeyException":
		return "it was wrapped by another key"
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
		"SignatureDoesNotMatch", "ExpiredTokenException", "IncompleteSignature", "MissingAuthenticationTokenException":
		return "not allowed with these AWS credentials: " + said
	}
	return said
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
