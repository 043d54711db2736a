package kms_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/seal/kms"
	"github.com/enlacehq/enlace/seal/sealtest"
)

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

func settings(endpoint string) aws.Config {
	return aws.Config{
		Region: engines.Region, BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(engines.AccessKeyID, engines.SecretAccessKey, ""),
	}
}

// newKey makes a key in the test's KMS and returns its ARN.
func newKey(t testing.TB, endpoint string) string {
	t.Helper()
	made, err := awskms.NewFromConfig(settings(endpoint)).CreateKey(t.Context(), &awskms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(made.KeyMetadata.Arn)
}

func open(t testing.TB, endpoint, arn string) *kms.Holder {
	t.Helper()
	holder, err := kms.New(settings(endpoint), arn)
	if err != nil {
		t.Fatal(err)
	}
	return holder
}

func TestHolder(t *testing.T) {
	endpoint := engines.KMS(t)
	sealtest.Run(t, func(t testing.TB) seal.KeyHolder { return open(t, endpoint, newKey(t, endpoint)) })
}

func TestHolder_BindsTheChannelByName(t *testing.T) {
	endpoint := engines.KMS(t)
	arn := newKey(t, endpoint)
	_, wrapped, err := open(t, endpoint, arn).GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := awskms.NewFromConfig(settings(endpoint)).Decrypt(t.Context(), &awskms.DecryptInput{
		KeyId: &arn, CiphertextBlob: wrapped[1:], EncryptionContext: map[string]string{"enlace:channel": "ch_1"},
	})
	if err != nil || len(opened.Plaintext) != seal.KeyBytes {
		t.Errorf("%v: a key policy that names the channel would not fit", err)
	}
}

func TestHolder_TakesAnAlias(t *testing.T) {
	endpoint := engines.KMS(t)
	arn := newKey(t, endpoint)
	_, err := awskms.NewFromConfig(settings(endpoint)).CreateAlias(t.Context(), &awskms.CreateAliasInput{
		AliasName: aws.String("alias/enlace"), TargetKeyId: &arn,
	})
	if err != nil {
		t.Fatal(err)
	}
	alias := open(t, endpoint, arn[:strings.LastIndex(arn, ":")]+":alias/enlace")
	_, wrapped, err := alias.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, endpoint, arn).OpenDataKey(t.Context(), "ch_1", wrapped); err != nil {
		t.Errorf("the key itself does not open what its alias wrapped: %v", err)
	}
	if _, err := alias.OpenDataKey(t.Context(), "ch_1", wrapped); err != nil {
		t.Error(err)
	}
}

func TestHolder_TakesOverFromAKeyFile(t *testing.T) {
	endpoint := engines.KMS(t)
	file, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped, err := file.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	holder := open(t, endpoint, newKey(t, endpoint))
	if _, err := holder.OpenDataKey(t.Context(), "ch_1", wrapped); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("a key file's data key: %v, want ErrUnreadable", err)
	}
	both := seal.WithOlder(holder, file)
	opened, err := both.OpenDataKey(t.Context(), "ch_1", wrapped)
	if err != nil {
		t.Fatal(err)
	}
	again, err := both.WrapDataKey(t.Context(), "ch_1", opened)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := holder.OpenDataKey(t.Context(), "ch_1", again)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := alone.Open(key.Seal([]byte("secret"), "p", "s"), "p", "s"); err != nil || string(plain) != "secret" {
		t.Errorf("after the change the data key is another: %v", err)
	}
	if _, err := file.OpenDataKey(t.Context(), "ch_1", again); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("the key file opens what KMS wrapped: %v", err)
	}
}

func TestCheck_SaysInOneLineWhatIsWrong(t *testing.T) {
	endpoint := engines.KMS(t)
	arn := newKey(t, endpoint)
	if err := open(t, endpoint, arn).Check(t.Context()); err != nil {
		t.Errorf("a key that is there: %v", err)
	}
	missing := arn[:strings.LastIndex(arn, "/")] + "/00000000-0000-0000-0000-000000000000"
	err := open(t, endpoint, missing).Check(t.Context())
	wantOneLine(t, err, seal.ErrUnavailable, missing, "there is no such key")
	err = open(t, deadEndpoint(t), arn).Check(t.Context())
	wantOneLine(t, err, seal.ErrUnavailable, arn, "no answer from KMS")
}

func wantOneLine(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	both := errors.Is(err, seal.ErrUnavailable) && errors.Is(err, seal.ErrUnreadable)
	if !errors.Is(err, kind) || both || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line that is %v", err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q in it", err, text)
		}
	}
}

func deadEndpoint(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

const someARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// What KMS answers decides whether a channel has lost its key or must wait for it.
func TestOpenDataKey_AnOutageIsNoLostKey(t *testing.T) {
	for code, want := range map[string]struct {
		kind error
		text string
	}{
		"InvalidCiphertextException":  {seal.ErrUnreadable, "damaged, or of another channel"},
		"IncorrectKeyException":       {seal.ErrUnreadable, "wrapped by another key"},
		"NotFoundException":           {seal.ErrUnavailable, "no such key"},
		"DisabledException":           {seal.ErrUnavailable, "disabled"},
		"KMSInvalidStateException":    {seal.ErrUnavailable, "in its state"},
		"AccessDeniedException":       {seal.ErrUnavailable, "not allowed with these AWS credentials"},
		"UnrecognizedClientException": {seal.ErrUnavailable, "not allowed with these AWS credentials"},
		"ValidationException":         {seal.ErrUnavailable, "ValidationException"},
		"InvalidKeyUsageException":    {seal.ErrUnavailable, "InvalidKeyUsageException"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"__type":%q,"message":"because\nof a secret"}`, code)
			}))
			defer server.Close()
			_, err := open(t, server.URL, someARN).OpenDataKey(t.Context(), "ch_1", []byte("\x02ciphertext"))
			wantOneLine(t, err, want.kind, someARN, want.text)
		})
	}
}

func TestOpenDataKey_WithoutAnAnswer(t *testing.T) {
	h := open(t, deadEndpoint(t), someARN)
	_, err := h.OpenDataKey(t.Context(), "ch_1", []byte("\x02ciphertext"))
	wantOneLine(t, err, seal.ErrUnavailable, "no answer from KMS")
	if _, _, err := h.GenerateDataKey(t.Context(), "ch_1"); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("generate: %v, want ErrUnavailable", err)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := h.OpenDataKey(left, "ch_1", []byte("\x02ciphertext")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v, want the context's error", err)
	}
	if _, err := h.OpenDataKey(t.Context(), "ch_1", bytes.Repeat([]byte{2}, 7000)); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("longer than any ciphertext: %v, want ErrUnreadable", err)
	}
}

func TestNew_RefusesWhatIsNoKeyARN(t *testing.T) {
	for _, arn := range []string{"", "alias/enlace", "1234abcd", "arn:aws:s3:::bucket", "arn:aws:kms:eu-west-1:123456789012:key/", someARN + "\n"} {
		if _, err := kms.New(aws.Config{}, arn); err == nil || !strings.Contains(err.Error(), "is not the ARN of a KMS key") {
			t.Errorf("%q: %v", arn, err)
		}
	}
}
