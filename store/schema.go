package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNewerSchema is a value that a newer program wrote: it is left untouched.
var ErrNewerSchema = errors.New("written by a newer version of enlace")

// Encode returns v as JSON behind its schema number, the form of every value
// that is not a binary record.
func Encode(schema uint64, v any) ([]byte, error) {
	var value bytes.Buffer
	value.Write(binary.AppendUvarint(nil, schema))
	body := json.NewEncoder(&value)
	body.SetEscapeHTML(false) // <, > and & would take six bytes each
	if err := body.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(value.Bytes(), []byte("\n")), nil
}

// Decode fills v from a value made by Encode with a schema up to newest.
// A higher number is ErrNewerSchema.
func Decode(value []byte, newest uint64, v any) error {
	body, err := Body(value, newest)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Body returns what follows the schema number of a value, or ErrNewerSchema
// when that number is above newest.
func Body(value []byte, newest uint64) ([]byte, error) {
	schema, n := binary.Uvarint(value)
	switch {
	case n <= 0 || schema == 0:
		return nil, errors.New("value without a schema number")
	case schema > newest:
		return nil, fmt.Errorf("schema %d, this program knows %d: %w", schema, newest, ErrNewerSchema)
	}
	return value[n:], nil
}
