package places

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The kinds of place that there are.
const (
	SQLite   = "sqlite"   // a database file
	DynamoDB = "dynamodb" // a table on AWS
	Embedded = "embedded" // a queue in the store's table
	SQS      = "sqs"      // a queue on AWS
	File     = "file"     // a key file
	KMS      = "kms"      // a key on AWS
)

// place is a setting of the form KIND:NAME. The zero place is one that is not set.
type place struct{ Kind, Name string }

// String is the setting as it is written.
func (p place) String() string {
	if p.Name == "" {
		return p.Kind
	}
	return p.Kind + ":" + p.Name
}

// Store is where the table lies: sqlite:PATH of the database file, or dynamodb:TABLE.
type Store place

// String is the setting as it is written.
func (q Queue) String() string { return place(q).String() }

// String is the setting as it is written.
func (s Seal) String() string { return place(s).String() }

// Queue is where connect jobs go: embedded, or sqs:URL.
type Queue place

// Seal is where the key lies that seals what is stored: file:PATH, or kms:ARN.
type Seal place

// String is the setting as it is written.
func (s Store) String() string { return place(s).String() }

// UnmarshalText reads the setting.
func (s *Store) UnmarshalText(text []byte) error {
	return (*place)(s).read(string(text), "sqlite:PATH", "dynamodb:TABLE")
}

// UnmarshalText reads the setting.
func (q *Queue) UnmarshalText(text []byte) error {
	return (*place)(q).read(string(text), "embedded", "sqs:URL")
}

// UnmarshalText reads the setting.
func (s *Seal) UnmarshalText(text []byte) error {
	return (*place)(s).read(string(text), "file:PATH", "kms:ARN")
}

func (p *place) read(text string, forms ...string) error {
	kind, name, named := strings.Cut(text, ":")
	fits := func(form string) bool {
		want, _, wantsName := strings.Cut(form, ":")
		return kind == want && named == wantsName && (name != "") == wantsName
	}
	if !slices.ContainsFunc(forms, fits) {
		return fmt.Errorf("want %s, got %q", strings.Join(forms, " or "), text)
	}
	*p = place{Kind: kind, Name: name}
	return nil
}

// Names says where an installation keeps what it knows. All its processes must
// be given the same.
type Names struct {
	Store Store
	Queue Queue
	Seal  Seal
	// SealFrom is a second place, whose key opens what Seal's does not, while the
	// sealing key is being changed. Usually there is none.
	SealFrom Seal
}

// Parse reads the three settings; an empty queue is the embedded one.
func Parse(store, queue, seal string) (Names, error) {
	n := Names{Queue: Queue{Kind: Embedded}}
	if err := n.Store.UnmarshalText([]byte(store)); err != nil {
		return Names{}, fmt.Errorf("ENLACE_STORE: %w", err)
	}
	if queue != "" {
		if err := n.Queue.UnmarshalText([]byte(queue)); err != nil {
			return Names{}, fmt.Errorf("ENLACE_QUEUE: %w", err)
		}
	}
	if err := n.Seal.UnmarshalText([]byte(seal)); err != nil {
		return Names{}, fmt.Errorf("ENLACE_SEAL: %w", err)
	}
	return n, nil
}

// Check refuses places that do not go together, or are not given.
func (n Names) Check() error {
	switch {
	case n.Store.Kind == SQLite && n.Queue.Kind == SQS:
		return errors.New("ENLACE_QUEUE: sqs goes with ENLACE_STORE=dynamodb:TABLE; with SQLite the queue is embedded in the same file")
	case n.Store.Kind == DynamoDB && n.Seal.Kind == "":
		return errors.New("ENLACE_SEAL: with a table on DynamoDB say where the sealing key lies: kms:ARN, or file:PATH of a file that every process has")
	}
	return nil
}
