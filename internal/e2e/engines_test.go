package e2e

import (
	"crypto/rand"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
)

// onEngines names a table and a queue that enlace setup makes, and a key, and
// returns the settings for them. Nobody knows there that a process died before its
// lease is over: it is short, so that tests need not wait long for that, and longer
// than a machine that is busy with other tests may keep a worker from its heartbeat.
func (i *installation) onEngines() []string {
	i.Helper()
	onAWS := awsSettings(i)
	key, err := engines.NewKey(i.Context(), engines.KMS(i))
	if err != nil {
		i.Fatal(err)
	}
	i.name = "enlace-" + strings.ToLower(rand.Text())
	return append(onAWS,
		"ENLACE_STORE=dynamodb:"+i.name,
		"ENLACE_QUEUE=sqs:"+engines.SQS(i)+"/000000000000/"+i.name,
		"ENLACE_SEAL=kms:"+key,
		"ENLACE_LEASE=8s",
	)
}

// awsSettings are those that bring the AWS SDK to the engines, in this process too.
func awsSettings(t testing.TB) []string {
	t.Helper()
	settings := map[string]string{
		"AWS_REGION":                engines.Region,
		"AWS_ACCESS_KEY_ID":         engines.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":     engines.SecretAccessKey,
		"AWS_ENDPOINT_URL_DYNAMODB": engines.DynamoDB(t),
		"AWS_ENDPOINT_URL_SQS":      engines.SQS(t),
		"AWS_ENDPOINT_URL_KMS":      engines.KMS(t),
	}
	var list []string
	for name, value := range settings {
		list = append(list, name+"="+value)
	}
	setEnvOnce.Do(func() {
		for name, value := range settings {
			if err := os.Setenv(name, value); err != nil {
				t.Error(err)
			}
		}
	})
	return list
}

var setEnvOnce sync.Once
