package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/enlacehq/enlace/store"
)

var errNoTable = errors.New("there is no such table")

// Check says in one line what stands in the way of using the table, nil if nothing
// does: credentials that are missing or refused, an engine that cannot be reached,
// no table of that name in the region, one that is not enlace's, one without the
// index or without the removal of what has expired, or requests that the
// credentials do not allow. It changes nothing.
func (db *DB) Check(ctx context.Context) error {
	if err := db.checkCredentials(ctx); err != nil {
		return err
	}
	description, err := db.describe(ctx)
	if err != nil {
		return err
	}
	if err := db.checkKeys(description); err != nil {
		return err
	}
	if indexOf(description) == nil {
		return fmt.Errorf("dynamodb: table %q has no index %q: `enlace setup` makes it", db.table, IndexName)
	}
	if err := db.checkActive(description); err != nil {
		return err
	}
	on, err := db.removesExpired(ctx)
	if err != nil {
		return err
	}
	if !on {
		return fmt.Errorf("dynamodb: table %q keeps what has expired, its time to live by attribute %s is off: `enlace setup` turns it on", db.table, AttributeTTL)
	}
	return db.checkPermissions(ctx)
}

func (db *DB) checkCredentials(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	if _, err := db.client.Options().Credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("dynamodb: no credentials for AWS: %s", brief(err))
	}
	return nil
}

func (db *DB) describe(ctx context.Context) (*types.TableDescription, error) {
	var out *dynamodb.DescribeTableOutput
	err := db.control(ctx, func(ctx context.Context) (err error) {
		out, err = db.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &db.table})
		if errors.As(err, new(*types.ResourceNotFoundException)) {
			out, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fmt.Errorf("dynamodb: %w %q %s: `enlace setup` makes it", errNoTable, db.table, db.where())
	}
	return out.Table, nil
}

func (db *DB) checkKeys(t *types.TableDescription) error {
	want := keyText(keySchema(AttributePK, AttributeSK), keyAttributes)
	if got := keyText(t.KeySchema, t.AttributeDefinitions); got != want {
		return fmt.Errorf("dynamodb: table %q is not enlace's: its key is %s, want %s", db.table, got, want)
	}
	index := indexOf(t)
	if index == nil {
		return nil
	}
	want = keyText(keySchema(AttributeIndexPK, AttributeIndexSK), keyAttributes)
	if got := keyText(index.KeySchema, t.AttributeDefinitions); got != want {
		return fmt.Errorf("dynamodb: index %q of table %q is not enlace's: its key is %s, want %s", IndexName, db.table, got, want)
	}
	return nil
}

// keyText describes a key: "PK (S), SK (S)".
func keyText(schema []types.KeySchemaElement, attributes []types.AttributeDefinition) string {
	parts := make([]string, len(schema))
	for i, element := range schema {
		name := aws.ToString(element.AttributeName)
		at := slices.IndexFunc(attributes, func(a types.AttributeDefinition) bool { return aws.ToString(a.AttributeName) == name })
		if at < 0 {
			parts[i] = name
			continue
		}
		parts[i] = fmt.Sprintf("%s (%s)", name, attributes[at].AttributeType)
	}
	return strings.Join(parts, ", ")
}

func indexOf(t *types.TableDescription) *types.GlobalSecondaryIndexDescription {
	for i, index := range t.GlobalSecondaryIndexes {
		if aws.ToString(index.IndexName) == IndexName {
			return &t.GlobalSecondaryIndexes[i]
		}
	}
	return nil
}

func (db *DB) checkActive(t *types.TableDescription) error {
	switch t.TableStatus {
	case types.TableStatusActive, types.TableStatusUpdating:
	default:
		return fmt.Errorf("dynamodb: table %q cannot be used now: it is %s", db.table, t.TableStatus)
	}
	index := indexOf(t)
	if index == nil {
		return fmt.Errorf("dynamodb: index %q of table %q cannot be used yet: it is not there", IndexName, db.table)
	}
	switch index.IndexStatus {
	case types.IndexStatusActive, types.IndexStatusUpdating:
		return nil
	}
	return fmt.Errorf("dynamodb: index %q of table %q cannot be used now: it is %s", IndexName, db.table, index.IndexStatus)
}

// removesExpired reports whether the engine removes what has expired.
func (db *DB) removesExpired(ctx context.Context) (on bool, err error) {
	err = db.control(ctx, func(ctx context.Context) error {
		out, err := db.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &db.table})
		if err != nil {
			return err
		}
		ttl := out.TimeToLiveDescription
		if ttl == nil {
			return nil
		}
		on = aws.ToString(ttl.AttributeName) == AttributeTTL &&
			(ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabled || ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabling)
		return nil
	})
	return on, err
}

// checkPermissions sends one request of each kind that the driver sends, about an
// item that is never there, so that none changes anything.
func (db *DB) checkPermissions(ctx context.Context) error {
	never := store.Key{PK: "META", SK: "NEVER"}
	probe := store.Item{Key: never}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := db.get(ctx, never)
		return err
	})
	group.Go(func() error {
		_, err := db.GetMany(ctx, []store.Key{never, {PK: never.PK, SK: never.SK + "2"}})
		return err
	})
	for _, q := range []store.Query{{PK: "NEVER", Limit: 1}, {PK: "NEVER", Limit: 1, Index: true}} {
		group.Go(func() error {
			_, err := db.Query(ctx, q)
			return err
		})
	}
	group.Go(func() error {
		err := db.Write(ctx,
			store.Put(probe, store.VersionIs(1)),
			store.Put(store.Item{Key: store.Key{PK: never.PK, SK: never.SK + "2"}}, store.Present),
			store.Delete(store.Key{PK: never.PK, SK: never.SK + "3"}, store.Present),
			store.Check(store.Key{PK: never.PK, SK: never.SK + "4"}, store.Present))
		if errors.As(err, new(*store.ConditionError)) {
			return nil // as it must
		}
		return err
	})
	return group.Wait()
}
