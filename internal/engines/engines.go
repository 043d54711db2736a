// Package engines starts, on this machine and without Docker, what stands in for
// the services of AWS in tests and while developing: DynamoDB Local, ElasticMQ for
// SQS, and moto's server for KMS. Each listens on a free port of the loopback
// interface (DynamoDB Local knows no other way than all interfaces), keeps its data
// in memory and ends with the process that started it.
//
// Maven and pip fetch them once, into a folder outside the source tree.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// CacheVariable is the environment variable that names the folder for what is
// fetched, instead of one in the user's cache directory.
const CacheVariable = "ENLACE_ENGINES_CACHE"

// What clients of the engines say; the engines take any.
const (
	Region          = "us-east-1"
	AccessKeyID     = "test"
	SecretAccessKey = "test"
)

// Options say which engines to start.
type Options struct {
	DynamoDB, SQS, KMS bool
	// Cache is the folder for what is fetched; that of CacheVariable, or one in
	// the user's cache directory, when empty.
	Cache string
	// Progress is told when something is fetched, which takes a minute; nobody when nil.
	Progress io.Writer
}

// Engines are running engines.
type Engines struct {
	dynamodb, sqs, kms *process // nil when not asked for
}

// Start starts the engines that o asks for, fetching what is missing, and returns
// when they answer. Stop ends them.
func Start(ctx context.Context, o Options) (*Engines, error) {
	cache, err := cacheDir(o.Cache)
	if err != nil {
		return nil, err
	}
	f := &fetcher{dir: cache, progress: o.Progress}
	if o.Progress == nil {
		f.progress = io.Discard
	}
	e := &Engines{}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, s := range []struct {
		asked   bool
		service service
		into    **process
	}{
		{o.DynamoDB, dynamoDBLocal, &e.dynamodb},
		{o.SQS, elasticMQ, &e.sqs},
		{o.KMS, moto, &e.kms},
	} {
		if !s.asked {
			continue
		}
		group.Go(func() (err error) {
			*s.into, err = s.service.start(groupCtx, f)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// DynamoDB returns the base URL of DynamoDB Local; empty when it was not started.
func (e *Engines) DynamoDB() string { return e.dynamodb.endpoint() }

// SQS returns the base URL of ElasticMQ; empty when it was not started.
func (e *Engines) SQS() string { return e.sqs.endpoint() }

// KMS returns the base URL of moto's server; empty when it was not started.
func (e *Engines) KMS() string { return e.kms.endpoint() }

// Environ returns the AWS SDK's variables, each as NAME=value, by which a program
// uses these engines and no other service of AWS.
func (e *Engines) Environ() []string {
	env := []string{
		"AWS_REGION=" + Region,
		"AWS_ACCESS_KEY_ID=" + AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + SecretAccessKey,
	}
	for _, endpoint := range []struct{ name, url string }{
		{"AWS_ENDPOINT_URL_DYNAMODB", e.DynamoDB()},
		{"AWS_ENDPOINT_URL_SQS", e.SQS()},
		{"AWS_ENDPOINT_URL_KMS", e.KMS()},
	} {
		if endpoint.url != "" {
			env = append(env, endpoint.name+"="+endpoint.url)
		}
	}
	return env
}

// Wait returns nil when ctx ends, and an error as soon as an engine ends by itself.
func (e *Engines) Wait(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range e.running() {
		group.Go(func() error {
			select {
			case <-p.done:
				return p.ended()
			case <-ctx.Done():
				return nil
			}
		})
	}
	return group.Wait()
}

// Stop ends the engines and returns when they are gone. It may be called twice.
func (e *Engines) Stop() {
	for _, p := range e.running() {
		p.stop()
	}
}

func (e *Engines) running() []*process {
	var running []*process
	for _, p := range []*process{e.dynamodb, e.sqs, e.kms} {
		if p != nil {
			running = append(running, p)
		}
	}
	return running
}

func cacheDir(asked string) (string, error) {
	if asked == "" {
		asked = os.Getenv(CacheVariable)
	}
	if asked == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("engines: no place to keep them in, set %s: %w", CacheVariable, err)
		}
		asked = filepath.Join(user, "enlace", "engines")
	}
	return filepath.Abs(asked)
}

// look returns the path of a program that is needed, or an error that says how to get it.
func look(program, needer, how string) (string, error) {
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("engines: %s needs %s, which is not installed: %s", needer, program, how)
	}
	return path, err
}

// startPatience is how long an engine may take from its start to its first
// answer, on a machine that is busy with other tests.
const startPatience = 2 * time.Minute
