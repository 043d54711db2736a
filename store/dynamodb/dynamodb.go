// Package dynamodb is the store.Table in one DynamoDB table: what many processes
// on many machines share. The table has one index of keys only, is paid for by the
// request and lets the engine remove what has expired. Region, credentials and
// endpoint come from the AWS SDK's own settings.
//
// A DB decides nothing by its own memory: every promise rests on conditional writes.
// It sends each request once and says what is known of its outcome; store.Retrying,
// which goes around it, finds out what is not.
package dynamodb

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/logging"

	"github.com/enlacehq/enlace/store"
)

// Options may be left zero.
type Options struct {
	// Endpoint is the base URL of another engine than the region's own, if set.
	Endpoint string
	// Timeout is how long one request may take, within the caller's deadline; 5 s when 0.
	Timeout time.Duration
	// Now is the clock that expiry goes by; time.Now when nil.
	Now func() time.Time
}

const (
	defaultTimeout = 5 * time.Second
	// maxIdle connections are kept open: a worker has hundreds of requests under way
	// at a time, and each new connection costs a handshake.
	maxIdle = 256
)

// DB is one table. It is safe for concurrent use, and needs no closing.
type DB struct {
	client    *dynamodb.Client
	table     string
	region    string
	timeout   time.Duration
	now       func() time.Time
	meter     meter
	unsettled unsettled
}

var _ store.Table = (*DB)(nil)

// Open returns the table of that name. It sends nothing: Check says whether the
// table is there and may be used.
func Open(ctx context.Context, table string, o Options) (*DB, error) {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdle, maxIdle
	})
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, fmt.Errorf("dynamodb: settings of AWS: %w", err)
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("dynamodb: no region for table %q: set AWS_REGION", table)
	}
	db := &DB{table: table, region: cfg.Region, timeout: o.Timeout, now: o.Now}
	if db.timeout == 0 {
		db.timeout = defaultTimeout
	}
	if db.now == nil {
		db.now = time.Now
	}
	db.client = dynamodb.NewFromConfig(cfg, func(options *dynamodb.Options) {
		// A request that the SDK sends twice could fail by the first one's doing.
		options.Retryer = aws.NopRetryer{}
		options.HTTPClient = tracing{transport}
		options.Logger = logging.Nop{} // what it would write to standard error is in the errors
		if o.Endpoint != "" {
			options.BaseEndpoint = &o.Endpoint
		}
	})
	return db, nil
}

// tracing notes on the flag in a request's context that a connection was there to
// send it on: from then on the engine may have it.
type tracing struct{ aws.HTTPClient }

type sentKey struct{}

// Do is aws.HTTPClient's.
func (t tracing) Do(r *http.Request) (*http.Response, error) {
	if sent, ok := r.Context().Value(sentKey{}).(*atomic.Bool); ok {
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
		}))
	}
	return t.HTTPClient.Do(r)
}
