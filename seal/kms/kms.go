// Package kms is a seal.KeyHolder on AWS KMS: data keys are made and unwrapped by
// a key that never leaves the service, with the channel as encryption context, so
// that a wrapped key opens for its channel alone and KMS's log names the channel.
package kms

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"

	"github.com/enlacehq/enlace/seal"
)

// ContextKey is the name under which the encryption context holds the channel's
// id. A key policy may refer to it as kms:EncryptionContext:enlace:channel.
const ContextKey = "enlace:channel"

// wrappedFormat is the first byte of a wrapped data key; KMS's ciphertext follows.
// A key file's format is another.
const wrappedFormat = 2

// maxCiphertext is the longest that KMS takes.
const maxCiphertext = 6144

// callTime is how long a call may take, its repeats included: whoever asks holds
// a channel that nobody else can have meanwhile.
const callTime = 4 * time.Second

// Holder is one key of KMS. It is safe for concurrent use.
type Holder struct {
	client *kms.Client
	key    string
}

var _ seal.KeyHolder = (*Holder)(nil)

// Open returns the holder of the key, or alias, of that ARN. Credentials and
// endpoint are found the way the AWS SDK finds them; the region is the ARN's.
// Nothing is asked of KMS before the first call: Check does.
func Open(ctx context.Context, arn string) (*Holder, error) {
	loaded, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("AWS settings: %w", err)
	}
	return New(loaded, arn)
}

var keyARN = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]+:(key|alias)/[A-Za-z0-9/_-]+$`)

// New is Open with given settings.
func New(settings aws.Config, arn string) (*Holder, error) {
	parts := keyARN.FindStringSubmatch(arn)
	if parts == nil {
		return nil, fmt.Errorf("%q is not the ARN of a KMS key: want arn:aws:kms:REGION:ACCOUNT:key/ID", arn)
	}
	settings.Region = parts[1]
	return &Holder{client: kms.NewFromConfig(settings), key: arn}, nil
}

func encryptionContext(scope string) map[string]string { return map[string]string{ContextKey: scope} }

// GenerateDataKey is seal.KeyHolder's.
func (h *Holder) GenerateDataKey(ctx context.Context, scope string) (*seal.DataKey, []byte, error) {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	made, err := h.client.GenerateDataKey(calling, &kms.GenerateDataKeyInput{
		KeyId: &h.key, KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(scope),
	})
	if err != nil {
		return nil, nil, h.failed(ctx, "make a data key", err)
	}
	defer clear(made.Plaintext)
	key, err := seal.NewDataKey(made.Plaintext)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", h.key, err)
	}
	return key, wrapped(made.CiphertextBlob), nil
}

func wrapped(ciphertext []byte) []byte { return append([]byte{wrappedFormat}, ciphertext...) }

// OpenDataKey is seal.KeyHolder's.
func (h *Holder) OpenDataKey(ctx context.Context, scope string, wrapped []byte) (*seal.DataKey, error) {
	if len(wrapped) < 2 || len(wrapped) > 1+maxCiphertext || wrapped[0] != wrappedFormat {
		return nil, fmt.Errorf("%w: not a data key of KMS", seal.ErrUnreadable)
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	opened, err := h.client.Decrypt(calling, &kms.DecryptInput{
		KeyId: &h.key, CiphertextBlob: wrapped[1:], EncryptionContext: encryptionContext(scope),
	})
	if err != nil {
		return nil, h.failed(ctx, "open a data key", err)
	}
	defer clear(opened.Plaintext)
	key, err := seal.NewDataKey(opened.Plaintext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seal.ErrUnreadable, err)
	}
	return key, nil
}

// WrapDataKey is seal.KeyHolder's.
func (h *Holder) WrapDataKey(ctx context.Context, scope string, key *seal.DataKey) ([]byte, error) {
	return key.WrapBy(func(raw []byte) ([]byte, error) {
		calling, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		made, err := h.client.Encrypt(calling, &kms.EncryptInput{
			KeyId: &h.key, Plaintext: raw, EncryptionContext: encryptionContext(scope),
		})
		if err != nil {
			return nil, h.failed(ctx, "wrap a data key", err)
		}
		return wrapped(made.CiphertextBlob), nil
	})
}

// Newest is seal.KeyHolder's. A wrapped form does not tell whether KMS has rotated
// the key since.
func (h *Holder) Newest([]byte) bool { return false }

// Check returns nil if KMS lets these credentials make data keys with the key, else
// one line that says what is wrong. It makes none.
func (h *Holder) Check(ctx context.Context) error {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := h.client.GenerateDataKey(calling, &kms.GenerateDataKeyInput{
		KeyId: &h.key, KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext("none"), DryRun: aws.Bool(true),
	})
	var would *types.DryRunOperationException
	if err == nil || errors.As(err, &would) {
		return nil
	}
	return h.failed(ctx, "make a data key", err)
}
