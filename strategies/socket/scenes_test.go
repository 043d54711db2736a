package socket

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/whatsapptest"
)

// scene is some traffic, and the steps that are to fail in it.
type scene struct {
	name  string
	play  func(r *traffic)
	steps []string
}

// regular is somebody whom the account knows.
const regular = "15550109999"

// nobody is a number that is not on WhatsApp.
const nobody = "99900000000"

var scenes = []scene{
	{name: "a device is linked", play: func(r *traffic) {
		r.link()
		r.hear(r.person(), whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
	}, steps: []string{
		"DeviceContainer.PutDevice",
		"IdentityStore.PutIdentity",
		"LIDStore.PutLIDMapping",
		"PreKeyStore.GetOrGenPreKeys",
		"PreKeyStore.MarkPreKeysAsUploaded",
		"Observer.QR",
		"Observer.Linked",
		"Observer.Connected",
		"Get of CH CHANNEL",
		"Query of CH EV",
		"Query of CH UM",
		"Query of SIG",
		"Write of CH CHANNEL, CH EV",
		"Write of CH CHANNEL, CH EV ×2",
		"Write of CH CHANNEL, CH EV, WORKERS",
		"Write of SIG DEVICE",
		"Write of SIG LID",
		"Query of BULK CONTACT",
		"Query of CH MSG",
	}},
	{name: "a friend writes", play: func(r *traffic) {
		r.hear(regular, whatsapptest.Outgoing{})
		r.hear(regular, whatsapptest.Outgoing{})
		r.settle()
		r.say(regular)
		r.settle()
	}, steps: []string{
		"ContactStore.PutPushName",
		"EventBuffer.ClearBufferedEventPlaintext",
		"EventBuffer.DoDecryptionTxn",
		"EventBuffer.GetBufferedEvent",
		"EventBuffer.PutBufferedEvent",
		"IdentityStore.IsTrustedIdentity",
		"IdentityStore.PutIdentity",
		"LIDStore.PutLIDMapping",
		"MsgSecretStore.PutMessageSecret",
		"SessionStore.GetSession",
		"SessionStore.HasSession",
		"SessionStore.PutSession",
		"Observer.Received",
		"Write of CH EV",
		"Write of SIG ADDR",
		"Write of CO MOVED",
	}},
	{name: "a friend is written to", play: func(r *traffic) {
		r.say(regular)
		r.say(regular)
		r.settle()
		r.hear(regular, whatsapptest.Outgoing{})
		r.settle()
	}, steps: []string{
		"IdentityStore.IsTrustedIdentity",
		"IdentityStore.PutIdentity",
		"LIDStore.GetLIDForPN",
		"LIDStore.GetManyLIDsForPNs",
		"NCTSaltStore.GetNCTSalt",
		"PrivacyTokenStore.GetPrivacyToken",
		"SessionStore.GetManySessions",
		"SessionStore.HasSession",
		"SessionStore.PutManySessions",
		"Client.Prepare",
		"Client.Send",
		"Observer.Receipt",
		"Get of CH MSG",
		"Query of OUT",
		"Write of CH EV",
		"Write of CH EV ×2",
		"Write of CH EV ×3",
		"Write of CH MSG",
		"Write of CH MSG ×2",
		"Write of CH MSG ×3",
		"Write of SIG ADDR",
	}},
	{name: "a friend writes much", play: func(r *traffic) {
		for range 12 {
			r.hear(regular, whatsapptest.Outgoing{})
		}
		r.settle()
	}, steps: []string{
		"Write of BULK SECRET",
	}},
	{name: "somebody new writes", play: func(r *traffic) {
		somebody := r.person()
		r.hear(somebody, whatsapptest.Outgoing{})
		r.hear(somebody, whatsapptest.Outgoing{Addressing: "pn"})
		r.settle()
		r.say(somebody)
		r.settle()
	}, steps: []string{
		"EventBuffer.DoDecryptionTxn",
		"IdentityStore.PutIdentity",
		"PreKeyStore.GetPreKey",
		"PreKeyStore.RemovePreKey",
		"SessionStore.GetSession",
		"SessionStore.MigratePNToLID",
		"SessionStore.PutSession",
		"Get of SIG ADDR",
		"Write of SIG LID",
		"Write of SIG DEVICE",
	}},
	{name: "somebody new is written to", play: func(r *traffic) {
		somebody := r.person()
		r.say(somebody)
		r.say(somebody)
		r.settle()
		r.hear(somebody, whatsapptest.Outgoing{})
		r.settle()
	}, steps: []string{
		"IdentityStore.PutIdentity",
		"LIDStore.PutManyLIDMappings",
		"SessionStore.GetSession",
		"SessionStore.PutSession",
		"Write of SIG LID",
	}},
	{name: "a group begins", play: func(r *traffic) {
		somebody := r.person()
		group := r.group(somebody, r.person())
		r.hear(somebody, whatsapptest.Outgoing{Group: group})
		r.hear(somebody, whatsapptest.Outgoing{Group: group})
		r.settle()
		r.say(group)
		r.settle()
	}, steps: []string{
		"EventBuffer.DoDecryptionTxn",
		"EventBuffer.GetBufferedEvent",
		"EventBuffer.PutBufferedEvent",
		"EventBuffer.ClearBufferedEventPlaintext",
		"SenderKeyStore.GetSenderKey",
		"SenderKeyStore.PutSenderKey",
		"Observer.Received",
		"Get of SIG SK",
		"Write of SIG SK",
	}},
	{name: "a group is written to", play: func(r *traffic) {
		somebody := r.person()
		group := r.group(somebody, r.person())
		r.say(group)
		r.say(group)
		r.settle()
		r.hear(somebody, whatsapptest.Outgoing{Group: group})
		r.settle()
	}, steps: []string{
		"ContactStore.PutManyRedactedPhones",
		"LIDStore.GetManyLIDsForPNs",
		"LIDStore.PutManyLIDMappings",
		"SenderKeyStore.GetSenderKey",
		"SenderKeyStore.PutSenderKey",
		"SessionStore.GetManySessions",
		"SessionStore.PutManySessions",
		"Client.Prepare",
		"Client.Send",
		"Observer.Receipt",
		"Get of SIG SK",
		"Write of SIG SK",
		"GetMany of SIG ADDR",
	}},
	{name: "a message cannot be read", play: func(r *traffic) {
		r.hear(regular, whatsapptest.Outgoing{Corrupt: true})
		r.settle()
		r.hear(regular, whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
	}, steps: []string{
		"LIDStore.GetPNForLID",
		"Observer.Unavailable",
		"Observer.Received",
		"Write of CH EV, CH UM",
	}},
	{name: "a phone cannot read", play: func(r *traffic) {
		somebody := r.person()
		r.say(somebody)
		r.settle()
		r.no(r.srv.Reinstall(somebody))
		r.say(somebody)
		r.settle()
		r.hear(somebody, whatsapptest.Outgoing{})
		r.settle()
	}, steps: []string{
		"IdentityStore.DeleteAllIdentities",
		"SessionStore.DeleteAllSessions",
		"Query of SIG ADDR",
	}},
	{name: "messages are read", play: func(r *traffic) {
		id := r.hear(regular, whatsapptest.Outgoing{})
		r.settle()
		r.no(r.callers.MarkRead(r.ctx, "acme", r.channel.ID, id, 0, true))
		time.Sleep(2 * time.Second)
		r.fault(whatsapptest.Fault{Kind: whatsapptest.Drop, Number: r.account}) // a mark that failed waits for this
		r.until("the mark at the phone", func() bool {
			receipts, err := r.srv.Receipts(regular)
			r.no(err)
			return slices.ContainsFunc(receipts, func(got whatsapptest.Receipt) bool { return got.ID == id && got.Type == "read" })
		})
		r.say(regular)
		r.settle()
		list, err := r.srv.Messages(regular)
		r.no(err)
		r.no(r.srv.MarkRead(regular, list.Messages[len(list.Messages)-1].ID))
		r.settle()
	}, steps: []string{
		"Client.MarkRead",
		"Get of CH MSG",
		"Write of CH MSG",
	}},
	{name: "a message fails", play: func(r *traffic) {
		m, err := r.callers.PostMessage(r.ctx, "acme", r.channel.ID, store.PostRequest{
			Message: enlace.Outgoing{To: nobody, Type: enlace.TypeText, Text: &enlace.Text{Body: "x"}},
		})
		r.no(err)
		r.say(regular)
		r.hear(regular, whatsapptest.Outgoing{})
		r.until("a failed message", func() bool {
			m, err := r.callers.Message(r.ctx, "acme", r.channel.ID, m.ID)
			r.no(err)
			return m.Status == enlace.MessageFailed && m.Error.Code == enlace.CodeNotOnWhatsApp
		})
		r.settle()
	}, steps: []string{
		"Client.Prepare",
		"Write of CH EV, CH MSG",
	}},
	{name: "the connection breaks", play: func(r *traffic) {
		r.fault(whatsapptest.Fault{Kind: whatsapptest.Drop, Number: r.account})
		r.hear(regular, whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
	}, steps: []string{
		"EventBuffer.DeleteOldBufferedHashes",
		"PreKeyStore.UploadedPreKeyCount",
		"PrivacyTokenStore.DeleteExpiredPrivacyTokens",
		"Observer.Connected",
	}},
	{name: "time passes", play: func(r *traffic) {
		r.hear(regular, whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
		time.Sleep(20 * time.Second)
		r.hear(regular, whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
	}, steps: []string{
		"Query of BURIED",
		"Query of OUT",
		"Query of OWNER",
		"Query of WORKERS",
		"Write of CO MOVED",
		"Write of WORKERS",
	}},
	{name: "settings are shared with a new device", play: func(r *traffic) {
		r.link()
		r.no(r.srv.ShareAppState(r.account))
		r.no(r.srv.NotifyAppState(r.account, "critical_block"))
		r.hear(r.person(), whatsapptest.Outgoing{})
		r.say(r.person())
		r.settle()
	}, steps: []string{
		"Write of SIG APPKEY",
		"Query of BULK MAC",
	}},
	{name: "settings are shared", play: func(r *traffic) {
		r.faults.pause(func() { // there is something to read, and nothing is known of the key
			r.no(r.faults.state().DeleteAppStateVersion(r.ctx, "critical_block"))
			r.fault(whatsapptest.Fault{Kind: whatsapptest.Drop, Number: r.account})
		})
		r.no(r.srv.ShareAppState(r.account))
		r.hear(regular, whatsapptest.Outgoing{})
		r.settle()
		r.no(r.srv.NotifyAppState(r.account, "critical_block"))
		r.hear(regular, whatsapptest.Outgoing{})
		r.say(regular)
		r.settle()
	}, steps: []string{
		"AppStateStore.GetAppStateVersion",
		"AppStateStore.PutAppStateVersion",
		"AppStateStore.GetAppStateMutationMAC",
		"AppStateStore.PutAppStateMutationMACs",
		"AppStateStore.DeleteAppStateMutationMACs",
		"AppStateSyncKeyStore.GetAppStateSyncKey",
		"AppStateSyncKeyStore.PutAppStateSyncKey",
		"ContactStore.PutAllContactNames",
		"Get of BULK APPSTATE",
		"Get of SIG APPKEY",
		"Write of BULK APPSTATE",
		"Write of BULK MAC",
	}},
}

// begin links a channel whose account knows a friend.
func (r *traffic) begin() {
	r.t.Helper()
	r.link()
	r.hear(regular, whatsapptest.Outgoing{})
	r.settle()
	r.say(regular)
	r.settle()
}

// TestFaults_EachStepFailsOnce has each method of the stores that whatsmeow calls,
// and each step between a session and its worker, fail once: before its effect and
// after it, with an error and with a panic. Nothing is lost, nothing doubled, all is
// in order, and the channel comes back.
func TestFaults_EachStepFailsOnce(t *testing.T) {
	rootKey(t)
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				r := newTraffic(t)
				r.begin()
				for _, step := range scene.steps {
					for _, fault := range each(step) {
						r.what = fault.String()
						r.faults.arm(fault)
						scene.play(r)
						time.Sleep(2 * time.Second) // what comes too often would have come
						r.settle()
						if !r.faults.disarm() {
							t.Errorf("%s: it was not called", step)
						}
					}
				}
			})
		})
	}
}

// TestFaults_NoStepIsForgotten plays all scenes and wants a case for each step.
func TestFaults_NoStepIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newTraffic(t)
		r.begin()
		r.faults.since()
		known := map[string]bool{}
		for _, scene := range scenes {
			scene.play(r)
			time.Sleep(10 * time.Second)
			for _, step := range scene.steps {
				step, _, _ = strings.Cut(step, " ×")
				known[step] = true
			}
		}
		for _, step := range slices.Sorted(maps.Keys(r.faults.since())) {
			if !known[step] {
				t.Errorf("%s is called, and never fails", step)
			}
		}
	})
}
