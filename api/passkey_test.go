package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestPasskey_AnswerReachesTheOwnerSealed(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.ShowPasskey(t.Context(), enlace.Passkey{Request: json.RawMessage(`{"challenge":"YQ"}`), ExpiresAt: time.Now().Add(time.Minute)}))
	b.post(pathOf(c)+"/passkey/confirm", "").wantsProblem(http.StatusConflict, enlace.CodeNoPasskey)
	const signature = "c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
	answer := `{"id":"cred","rawId":"Y3JlZA","type":"public-key","authenticatorAttachment":"platform","clientExtensionResults":{},
		"response":{"clientDataJSON":"Y2xpZW50","authenticatorData":"YXV0aA","signature":"` + signature + `","userHandle":"dXNlcg"}}`
	b.post(pathOf(c)+"/passkey", answer).wants(http.StatusAccepted).wantsHeader("Cache-Control", "private, no-store")

	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	commands := waiting.Commands
	if len(commands) != 1 || commands[0].Kind != store.CommandPasskey {
		t.Fatalf("want the answer in the outbox, got %v", commands)
	}
	got, err := owner.Answer(t.Context(), commands[0])
	b.must(err)
	want := `{"id":"cred","rawId":"Y3JlZA","type":"public-key","response":{"clientDataJSON":"Y2xpZW50","authenticatorData":"YXV0aA","signature":"` + signature + `","userHandle":"dXNlcg"}}`
	if string(got) != want {
		t.Errorf("want %s, got %s", want, got)
	}
	page, err := b.table.Query(t.Context(), store.Query{PK: "CH#" + c.ID})
	b.must(err)
	for _, item := range page.Items {
		if strings.Contains(string(item.Value), signature) {
			t.Errorf("%s has the answer in clear", item.Key)
		}
	}
}

func TestPasskey_ConfirmationReachesTheOwner(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	owner := b.own(c)
	b.must(owner.ShowPasskey(t.Context(), enlace.Passkey{Code: "ABCD-EFGH", ExpiresAt: time.Now().Add(time.Minute)}))
	b.post(pathOf(c)+"/passkey/confirm", "").wants(http.StatusAccepted)
	waiting, err := owner.Waiting(t.Context())
	b.must(err)
	commands := waiting.Commands
	if len(commands) != 1 || commands[0].Kind != store.CommandPasskeyConfirm {
		t.Errorf("want the confirmation in the outbox, got %v", commands)
	}
}
