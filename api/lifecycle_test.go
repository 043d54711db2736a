package api_test

import (
	"net/http"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestLifecycle_AsksTheOwnerAndAnswersTheChannel(t *testing.T) {
	for _, test := range []struct {
		method, path string
		kind         store.CommandKind
	}{
		{http.MethodPost, "/disconnect", store.CommandDisconnect},
		{http.MethodPost, "/logout", store.CommandLogout},
		{http.MethodDelete, "", store.CommandDelete},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			b := setup(t)
			c := b.connect("default")
			owner := b.own(c)
			b.must(owner.Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}))
			a := b.do(request{method: test.method, path: pathOf(c) + test.path, key: b.keys[store.Admin]}).wants(http.StatusAccepted)
			if got := a.wantsHeader("Cache-Control", "private, no-store").channel(); got.ID != c.ID || got.Status != enlace.Active {
				t.Errorf("want the channel as it is, got %s", a.body)
			}
			waiting, err := owner.Waiting(t.Context())
			b.must(err)
			commands := waiting.Commands
			if len(commands) != 1 || commands[0].Kind != test.kind {
				t.Errorf("want one command %s, got %v", test.kind, commands)
			}
		})
	}
}

func TestDelete_ForgetsTheChannelAtOnceAndFreesItsName(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	remove := request{method: http.MethodDelete, path: pathOf(c), key: b.keys[store.Admin]}
	b.do(remove).wants(http.StatusAccepted)
	b.do(remove).wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
	b.get(pathOf(c)).wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
	b.get(pathOf(c)+"/events").wantsProblem(http.StatusNotFound, enlace.CodeNotFound)
	if again := b.connect("default"); again.ID == c.ID {
		t.Error("want a new channel of that name")
	}
}
