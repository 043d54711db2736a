package places_test

import (
	"strings"
	"testing"

	"github.com/enlacehq/enlace/internal/places"
)

func TestParse_ReadsThreeSettings(t *testing.T) {
	got, err := places.Parse("dynamodb:enlace", "sqs:https://sqs.eu-west-1.amazonaws.com/1/jobs", "kms:arn:aws:kms:eu-west-1:1:key/2")
	want := places.Names{
		Store: places.Store{Kind: places.DynamoDB, Name: "enlace"},
		Queue: places.Queue{Kind: places.SQS, Name: "https://sqs.eu-west-1.amazonaws.com/1/jobs"},
		Seal:  places.Seal{Kind: places.KMS, Name: "arn:aws:kms:eu-west-1:1:key/2"},
	}
	if err != nil || got != want {
		t.Errorf("want %+v, got %+v, %v", want, got, err)
	}
	got, err = places.Parse("sqlite:data/enlace.db", "", "file:data/seal.key")
	want = places.Names{
		Store: places.Store{Kind: places.SQLite, Name: "data/enlace.db"},
		Queue: places.Queue{Kind: places.Embedded},
		Seal:  places.Seal{Kind: places.File, Name: "data/seal.key"},
	}
	if err != nil || got != want {
		t.Errorf("want %+v, got %+v, %v", want, got, err)
	}
}

func TestParse_SaysWhichSettingIsWrong(t *testing.T) {
	for _, test := range []struct{ store, queue, seal, want string }{
		{"", "", "file:x", "ENLACE_STORE: want sqlite:PATH or dynamodb:TABLE"},
		{"sqlite", "", "file:x", "ENLACE_STORE"},
		{"sqlite:", "", "file:x", "ENLACE_STORE"},
		{"postgres:x", "", "file:x", "ENLACE_STORE"},
		{"sqlite:x", "embedded:x", "file:x", "ENLACE_QUEUE: want embedded or sqs:URL"},
		{"sqlite:x", "sqs:", "file:x", "ENLACE_QUEUE"},
		{"sqlite:x", "sqs", "file:x", "ENLACE_QUEUE"},
		{"sqlite:x", "", "", "ENLACE_SEAL: want file:PATH or kms:ARN"},
		{"sqlite:x", "", "vault:x", "ENLACE_SEAL"},
		{"sqlite:x", "", "/etc/key", "ENLACE_SEAL"},
	} {
		if got, err := places.Parse(test.store, test.queue, test.seal); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: want an error with %q, got %+v, %v", test, test.want, got, err)
		}
	}
}
