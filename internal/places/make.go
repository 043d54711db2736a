package places

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/enlacehq/enlace/queue/sqs"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store/dynamodb"
)

// Step is what Make did about one place.
type Step struct {
	What string // the place
	Made bool   // it was missing
}

func (s Step) String() string {
	if s.Made {
		return s.What + ": made"
	}
	return s.What + ": was there"
}

// Make makes the places that are missing, where they can be made: it is run once,
// and again changes nothing. After an error the steps say what was done.
func Make(ctx context.Context, names Names, options Options) ([]Step, error) {
	var steps []Step
	for _, do := range []func() (Step, error){
		func() (Step, error) { return makeTable(ctx, names.Store, options) },
		func() (Step, error) { return makeQueue(ctx, names.Queue) },
		func() (Step, error) { return makeSeal(ctx, names.Seal) },
	} {
		step, err := do()
		if err != nil {
			return steps, err
		}
		if step.What != "" {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

func makeTable(ctx context.Context, name Store, options Options) (Step, error) {
	if name.Kind == DynamoDB {
		return makeDynamoDB(ctx, name.Name)
	}
	_, err := os.Stat(name.Name)
	step := Step{What: "database " + name.Name, Made: errors.Is(err, os.ErrNotExist)}
	_, closeTable, err := openTable(ctx, name, options)
	if err != nil {
		return step, err
	}
	return step, closeTable()
}

func makeDynamoDB(ctx context.Context, name string) (Step, error) {
	step := Step{What: "table " + name}
	table, err := dynamodb.Open(ctx, name, dynamodb.Options{})
	if err == nil {
		step.Made = table.Check(ctx) != nil
		err = table.Create(ctx)
	}
	if err != nil {
		return step, fmt.Errorf("ENLACE_STORE: %w", err)
	}
	return step, nil
}

func makeQueue(ctx context.Context, name Queue) (Step, error) {
	if name.Kind == Embedded {
		return Step{}, nil // it is in the table
	}
	step := Step{What: "queue " + name.Name}
	q, err := sqs.Open(ctx, name.Name, sqs.Options{})
	if err == nil {
		step.Made, err = q.Create(ctx)
	}
	if err != nil {
		return step, fmt.Errorf("ENLACE_QUEUE: %w", err)
	}
	return step, nil
}

// makeSeal makes a key file. A key of KMS is its owner's to make; a seal that is
// not given is not needed to make the rest.
func makeSeal(ctx context.Context, name Seal) (Step, error) {
	switch name.Kind {
	case "":
		return Step{}, nil
	case KMS:
		_, err := openKMS(ctx, name.Name, Options{})
		return Step{What: "sealing key " + name.Name}, err
	}
	_, err := os.Stat(name.Name)
	step := Step{What: "sealing key " + name.Name, Made: errors.Is(err, os.ErrNotExist)}
	_, err = seal.OpenFile(name.Name)
	return step, err
}
