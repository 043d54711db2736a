package dynamodb_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/dynamodb"
	"github.com/enlacehq/enlace/store/storetest"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_REGION": engines.Region, "AWS_ACCESS_KEY_ID": engines.AccessKeyID, "AWS_SECRET_ACCESS_KEY": engines.SecretAccessKey,
		// nothing of this machine's own settings
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_DYNAMODB": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("20") // each step is a request
	}
	os.Exit(engines.Main(m))
}

func TestTable(t *testing.T) { storetest.Run(t, driver()) }

func driver() storetest.Driver {
	return storetest.Driver{
		Open: func(t testing.TB, c storetest.Config) store.Table {
			return create(t, tableName(), dynamodb.Options{Now: c.Now})
		},
		Slow: true,
	}
}

var tables atomic.Int64

// tableName is the name of a table that is not there yet.
func tableName() string { return fmt.Sprintf("test-%d", tables.Add(1)) }

// create makes a table in the engine and opens it.
func create(t testing.TB, table string, o dynamodb.Options) *dynamodb.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	made := open(t, table, dynamodb.Options{Endpoint: engines.DynamoDB(t)})
	if err := made.Create(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // beside many tables the engine makes no index any more
		_, err := raw(t).DeleteTable(context.WithoutCancel(t.Context()), &sdk.DeleteTableInput{TableName: &table})
		if err != nil {
			t.Error(err)
		}
	})
	if o.Endpoint == "" {
		o.Endpoint = engines.DynamoDB(t)
	}
	return open(t, table, o)
}

// patient is how long a request may take where a test is not about that: the
// machine may be busy with other tests.
const patient = time.Minute

func open(t testing.TB, table string, o dynamodb.Options) *dynamodb.DB {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patient
	}
	db, err := dynamodb.Open(t.Context(), table, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
