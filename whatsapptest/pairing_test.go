package whatsapptest_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/enlacehq/enlace/whatsapptest"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

func TestScan_LinksAndLogsInAgain(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	qr := await[*events.QR](c)
	if len(qr.Codes) != 6 {
		t.Fatalf("got %d codes, want 6", len(qr.Codes))
	}
	got, err := srv.Scan(t.Context(), "+15550001111", qr.Codes[2])
	if err != nil {
		t.Fatal(err)
	}
	if got.Device == nil || got.Device.JID != "15550001111:1@s.whatsapp.net" {
		t.Fatalf("linked %+v", got.Device)
	}
	await[*events.PairSuccess](c)
	await[*events.Connected](c)
	if c.Store.LID.String() != got.Device.LID {
		t.Errorf("the client's LID is %s, want %s", c.Store.LID, got.Device.LID)
	}
	list, err := srv.Devices("15550001111")
	if err != nil || len(list) != 1 || list[0].PreKeys != 812 || !list[0].Connected {
		t.Fatalf("devices %+v, %v; want one, connected, with 812 prekeys", list, err)
	}

	c.Disconnect()
	poll(t, "the connection's end", func() bool { return srv.Stats().Connections == 0 })
	again := c.again()
	again.connect()
	await[*events.Connected](again)
	stats := srv.Stats()
	if stats.Logins != 2 || stats.QRs != 1 || stats.Replaced != 0 || stats.Overlaps != 0 {
		t.Errorf("stats %+v; want 2 logins, 1 set of codes, nothing replaced", stats)
	}
}

func TestScan_TakesCodesWithoutURL(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	_, code, _ := strings.Cut(await[*events.QR](c).Codes[0], "#")
	code = code[:strings.LastIndexByte(code, ',')]
	if _, err := srv.Scan(t.Context(), "15550001111", code); err != nil {
		t.Fatal(err)
	}
	await[*events.Connected](c)
}

func TestScan_RefusesWhatIsNoCode(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	code := await[*events.QR](c).Codes[0]
	other := newClient(t, srv)
	other.connect()
	others := await[*events.QR](other).Codes[0]
	ref, _, _ := strings.Cut(code, ",")
	_, keys, _ := strings.Cut(others, ",")
	for name, tc := range map[string]struct{ number, qr, want string }{
		"text":              {"15550001111", "hello", "bad_qr"},
		"keys of another":   {"15550001111", ref + "," + keys, "bad_qr"},
		"a ref of nobody":   {"15550001111", strings.Replace(code, "#2@", "#2@x", 1), "unknown_qr"},
		"no number":         {"phone", code, "bad_number"},
		"a number too long": {"1555000111122223", code, "bad_number"},
	} {
		_, err := srv.Scan(t.Context(), tc.number, tc.qr)
		var e *whatsapptest.Error
		if !errors.As(err, &e) || e.Code != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
	if _, err := srv.Scan(t.Context(), "15550001111", code); err != nil {
		t.Errorf("a good code after bad ones: %v", err)
	}
}

func TestScan_CodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	code := await[*events.QR](c).Codes[0]
	if _, err := srv.Scan(t.Context(), "15550001111", code); err != nil {
		t.Fatal(err)
	}
	_, err := srv.Scan(t.Context(), "15550002222", code)
	var e *whatsapptest.Error
	if !errors.As(err, &e) || e.Code != "unknown_qr" {
		t.Errorf("a second scan: got %v, want unknown_qr", err)
	}
}

func TestScan_ClientThatRefusesIsNotLinked(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.PrePairCallback = func(types.JID, string, string) bool { return false }
	c.connect()
	_, err := srv.Scan(t.Context(), "15550001111", await[*events.QR](c).Codes[0])
	if err == nil {
		t.Fatal("the scan succeeded")
	}
	await[*events.PairError](c)
	if list, _ := srv.Devices("15550001111"); len(list) != 0 {
		t.Errorf("the phone lists %+v", list)
	}
}

func TestLink_ByPairingCode(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	await[*events.QR](c)
	code, err := c.PairPhone(t.Context(), "15550001111", true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	wrong := "1" + code[1:]
	if wrong == code {
		wrong = "2" + code[1:]
	}
	var e *whatsapptest.Error
	if _, err := srv.Link(t.Context(), "15550001111", wrong); !errors.As(err, &e) || e.Code != "wrong_code" {
		t.Fatalf("a wrong code: got %v, want wrong_code", err)
	}
	if _, err := srv.Link(t.Context(), "15550002222", code); !errors.As(err, &e) || e.Code != "no_code" {
		t.Fatalf("another number: got %v, want no_code", err)
	}
	got, err := srv.Link(t.Context(), "15550001111", strings.ToLower(code))
	if err != nil {
		t.Fatal(err)
	}
	await[*events.PairSuccess](c)
	await[*events.Connected](c)
	if got.Device == nil || got.Device.JID != c.Store.ID.String() {
		t.Errorf("linked %+v, the client is %s", got.Device, c.Store.ID)
	}
}

func TestLink_RefusesAClientWithoutAProperName(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	await[*events.QR](c)
	_, err := c.PairPhone(t.Context(), "15550001111", true, whatsmeow.PairClientChrome, "enlace")
	if !errors.Is(err, whatsmeow.ErrIQBadRequest) {
		t.Errorf("got %v, want bad-request", err)
	}
}

func TestScan_AsksForPasskey(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	yes := true
	if _, err := srv.SetPhone("15550001111", whatsapptest.PhoneSettings{Passkey: &yes}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, srv)
	c.connect()
	got, err := srv.Scan(t.Context(), "15550001111", await[*events.QR](c).Codes[0])
	if err != nil {
		t.Fatal(err)
	}
	if !got.Passkey || got.Device != nil {
		t.Fatalf("the scan gave %+v, want a passkey request", got)
	}
	question, err := json.Marshal(await[*events.PairPasskeyRequest](c).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := srv.AnswerPasskey("15550001111", question)
	if err != nil {
		t.Fatal(err)
	}
	var answer types.WebAuthnResponse
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	forged := answer
	forged.Response.Signature = append([]byte(nil), answer.Response.Signature...)
	forged.Response.Signature[len(forged.Response.Signature)-1] ^= 1
	if err := c.SendPasskeyResponse(t.Context(), &forged); err == nil {
		t.Fatal("a forged signature was taken")
	}
	if err := c.SendPasskeyResponse(t.Context(), &answer); err != nil {
		t.Fatal(err)
	}
	shown := await[*events.PairPasskeyConfirmation](c)
	if !shown.SkipHandoffUX {
		t.Error("the client that was scanned must show its code")
	}
	poll(t, "the phone's code", func() bool {
		p, err := srv.Phone("15550001111")
		return err == nil && p.PasskeyCode == shown.Code
	})
	if err := c.SendPasskeyConfirmation(t.Context()); err != nil {
		t.Fatal(err)
	}
	await[*events.PairSuccess](c)
	await[*events.Connected](c)
}
