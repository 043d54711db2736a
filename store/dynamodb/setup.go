package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// setupPatience is how long Create waits for the engine to make what it was asked for.
const setupPatience = 10 * time.Minute

// Create makes what is missing: the table, its index, its removal of what has
// expired. It returns when they can be used. A table of that name that is not
// enlace's is an error, and is left as it is.
func (db *DB) Create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	if err := db.checkCredentials(ctx); err != nil {
		return err
	}
	description, err := db.describe(ctx)
	if errors.Is(err, errNoTable) {
		if description, err = db.createTable(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := db.checkKeys(description); err != nil {
		return err
	}
	if index := indexOf(description); index == nil {
		if err := db.createIndex(ctx); err != nil {
			return err
		}
	}
	if err := db.waitActive(ctx); err != nil {
		return err
	}
	return db.removeExpired(ctx)
}

var keyAttributes = []types.AttributeDefinition{
	{AttributeName: aws.String(AttributePK), AttributeType: types.ScalarAttributeTypeS},
	{AttributeName: aws.String(AttributeSK), AttributeType: types.ScalarAttributeTypeS},
	{AttributeName: aws.String(AttributeIndexPK), AttributeType: types.ScalarAttributeTypeS},
	{AttributeName: aws.String(AttributeIndexSK), AttributeType: types.ScalarAttributeTypeS},
}

func keySchema(pk, sk string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: &pk, KeyType: types.KeyTypeHash}, {AttributeName: &sk, KeyType: types.KeyTypeRange},
	}
}

func (db *DB) createTable(ctx context.Context) (*types.TableDescription, error) {
	err := db.control(ctx, func(ctx context.Context) error {
		_, err := db.client.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: &db.table, AttributeDefinitions: keyAttributes, KeySchema: keySchema(AttributePK, AttributeSK),
			GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
				IndexName: aws.String(IndexName), KeySchema: keySchema(AttributeIndexPK, AttributeIndexSK),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			}},
			BillingMode: types.BillingModePayPerRequest,
		})
		if errors.As(err, new(*types.ResourceInUseException)) {
			return nil // another made it just now
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return db.describe(ctx)
}

func (db *DB) createIndex(ctx context.Context) error {
	return db.control(ctx, func(ctx context.Context) error {
		_, err := db.client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
			TableName: &db.table, AttributeDefinitions: keyAttributes,
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: aws.String(IndexName), KeySchema: keySchema(AttributeIndexPK, AttributeIndexSK),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			}}},
		})
		return err
	})
}

// waitActive waits until the table and its index can be used.
func (db *DB) waitActive(ctx context.Context) error {
	for try := 0; ; try++ {
		description, err := db.describe(ctx)
		if err != nil {
			return err
		}
		err = db.checkActive(description)
		if err == nil || !pause(ctx, try) {
			return err
		}
	}
}

func (db *DB) removeExpired(ctx context.Context) error {
	on, err := db.removesExpired(ctx)
	if err != nil || on {
		return err
	}
	err = db.control(ctx, func(ctx context.Context) error {
		_, err := db.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName:               &db.table,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(AttributeTTL), Enabled: aws.Bool(true)},
		})
		return err
	})
	if on, lookErr := db.removesExpired(ctx); lookErr == nil && on {
		return nil // by us or by another
	}
	return err
}

// control sends a request about the table itself, whose errors are one line each.
func (db *DB) control(ctx context.Context, send func(context.Context) error) error {
	if err := db.read(ctx, send); err != nil {
		return fmt.Errorf("%w (%s)", err, db.where())
	}
	return nil
}

// where says where the table is looked for.
func (db *DB) where() string {
	if endpoint := db.client.Options().BaseEndpoint; endpoint != nil {
		return "at " + *endpoint
	}
	return "in region " + db.region
}
