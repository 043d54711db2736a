package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
)

// folderFlags name the data folder.
type folderFlags struct {
	Data string `help:"The data folder. Several processes on one machine may share it." default:"${data}"`
}

// storeFlags say where the table lies.
type storeFlags struct {
	folderFlags `embed:""`

	Store places.Store `help:"Where everything is kept: sqlite:PATH or dynamodb:TABLE. By default a file in the data folder." placeholder:"KIND:NAME"`
}

// store is where the table lies. A folder stands for the database in it.
func (f *storeFlags) store() (places.Store, error) {
	if f.Store.Kind == "" {
		return f.inFolder()
	}
	if info, err := os.Stat(f.Store.Name); f.Store.Kind == places.SQLite && err == nil && info.IsDir() {
		return places.Store{}, fmt.Errorf("--store: %s is a folder; want the database's file, such as sqlite:%s", f.Store.Name, filepath.Join(f.Store.Name, databaseFile))
	}
	return f.Store, nil
}

// mustBeThere refuses a database file that is missing: a name that was misspelt
// would look like a new installation.
func mustBeThere(table places.Store) error {
	if table.Kind != places.SQLite {
		return nil
	}
	if _, err := os.Stat(table.Name); err != nil {
		return fmt.Errorf("%s is no data folder: enlace serve or enlace setup makes one", filepath.Dir(table.Name))
	}
	return nil
}

func (f *folderFlags) inFolder() (places.Store, error) {
	if f.Data == "" {
		return places.Store{}, errors.New("--data: the name of a folder is missing")
	}
	return places.Store{Kind: places.SQLite, Name: filepath.Join(f.Data, databaseFile)}, nil
}

// queueFlags say where the queue is.
type queueFlags struct {
	storeFlags `embed:""`

	Queue places.Queue `help:"Where connect jobs go: embedded, in the store, or sqs:URL." default:"embedded"`
}

// placeFlags say where everything lies that the processes of an installation share.
type placeFlags struct {
	queueFlags `embed:""`

	Seal     places.Seal `help:"Where the key lies that seals what is stored: file:PATH or kms:ARN. By default a file beside the database." placeholder:"KIND:NAME"`
	SealFrom places.Seal `help:"A second place whose key opens what is stored, while the sealing key is being changed." placeholder:"KIND:NAME"`
}

// names are the places, which go together.
func (f *placeFlags) names() (places.Names, error) {
	names, err := f.given()
	if err == nil {
		err = names.Check()
	}
	return names, err
}

// given are the places as far as they are named, or follow from the data folder.
func (f *placeFlags) given() (places.Names, error) {
	table, err := f.store()
	names := places.Names{Store: table, Queue: f.Queue, Seal: f.Seal, SealFrom: f.SealFrom}
	if table.Kind == places.SQLite && names.Seal.Kind == "" {
		names.Seal = sealBeside(table)
	}
	return names, err
}

// sealBeside is the key file in the folder of a database.
func sealBeside(table places.Store) places.Seal {
	return places.Seal{Kind: places.File, Name: filepath.Join(filepath.Dir(table.Name), sealFile)}
}

// retentionFlags say how long what happened is kept.
type retentionFlags struct {
	Retention time.Duration `help:"How long events are kept, at least 48h." default:"720h"`
}

func (f retentionFlags) check() error {
	if f.Retention < store.MinRetention {
		return fmt.Errorf("--retention: at least %v, got %v", store.MinRetention, f.Retention)
	}
	return nil
}
