package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// NewKey makes a key in the KMS at endpoint and returns its ARN. Keys are the
// owner's to make, so that no program of ours does.
func NewKey(ctx context.Context, endpoint string) (arn string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader("{}"))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "TrentService.CreateKey")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+AccessKeyID+"/20260101/"+Region+"/kms/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("engines: make a key: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("engines: make a key: %w", err)
	}
	var answer struct {
		KeyMetadata struct{ Arn string }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.KeyMetadata.Arn == "" {
		return "", fmt.Errorf("engines: make a key: %s: %s", response.Status, body)
	}
	return answer.KeyMetadata.Arn, nil
}
