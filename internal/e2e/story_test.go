package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"sync"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/enlacehq/enlace"
)

// A channel is asked for, its QR code is scanned, it is active; the process is
// killed and started again: active, without a new code and with one login more.
func TestStory_QR(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()

	c := s.connect("default")
	if c.Status != enlace.Connecting || c.Name != "default" || c.CompanyID != "acme" {
		t.Fatalf("want a connecting channel of company acme, got %+v", c)
	}
	c = s.untilQR(c)
	picture := s.call(http.StatusOK, http.MethodGet, path(c)+"/qr", "", "Accept", "image/png")
	code := decode(t, picture.body)
	if code != c.QR.Code {
		t.Fatal("want the channel's code in the picture, got another")
	}
	number := newNumber()
	w.scan(number, code)
	c = s.untilActive(c)
	if c.PhoneNumber != number || c.QR != nil || c.ConnectedAt == nil {
		t.Fatalf("want the phone's number and no QR code, got %+v", c)
	}
	s.comesBack(i, w, c)
}

// comesBack kills the server and starts it again, and wants all channels to be
// as they were, by credentials alone.
func (s *server) comesBack(i *installation, w *whatsApp, channels ...enlace.Channel) {
	s.Helper()
	before := make([][]enlace.Event, len(channels))
	for n, c := range channels {
		before[n] = s.events(c)
	}
	logins := w.stats().Logins
	s.kill()
	again := i.serve()
	for n, c := range channels {
		back := again.untilBack(c)
		if back.PhoneNumber != c.PhoneNumber {
			s.Errorf("channel %s: want its number kept, got %q", c.Name, back.PhoneNumber)
		}
		for _, e := range again.events(back)[len(before[n]):] {
			switch e.Event {
			case enlace.EventQR, enlace.EventPairingCode, enlace.EventPasskey:
				s.Errorf("channel %s: want no new linking after the restart, got event %d %s", c.Name, e.Seq, e.Event)
			}
		}
	}
	if got, want := w.stats().Logins, logins+len(channels); got != want {
		s.Errorf("want %d logins, one more for each channel, got %d", want, got)
	}
	w.wantsNoOverlap()
}

func decode(t testing.TB, picture []byte) string {
	t.Helper()
	image, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(image)
	if err != nil {
		t.Fatal(err)
	}
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatalf("the QR code cannot be read: %v", err)
	}
	return found.GetText()
}

func TestStory_PairingCode(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	number := newNumber()
	body := fmt.Sprintf(`{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":%q}}`, number)
	c := s.call(http.StatusAccepted, http.MethodPost, channels, body).channel(t)
	c = s.until(c, "with a pairing code", func(c enlace.Channel) bool { return c.PairingCode != "" })
	if len(c.PairingCode) != 8 {
		t.Errorf("want a pairing code of eight characters, got %d", len(c.PairingCode))
	}
	w.link(number, c.PairingCode)
	c = s.untilActive(c)
	if c.PhoneNumber != number || c.PairingCode != "" {
		t.Errorf("want the phone's number and no code, got %+v", c)
	}
	s.comesBack(i, w, c)
}

// An account with a passkey asks for it: the question is in the channel, the
// authenticator's answer is posted, and so is the confirmation that both sides
// show the same code.
func TestStory_Passkey(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	number := newNumber()
	w.call(http.MethodPut, "/phones/"+number, map[string]bool{"passkey": true}, nil)

	c := s.untilQR(s.connect("default"))
	w.scan(number, c.QR.Code)
	c = s.until(c, "with a passkey request", func(c enlace.Channel) bool { return c.Passkey != nil && c.Passkey.Request != nil })
	var assertion json.RawMessage
	w.call(http.MethodPost, "/phones/"+number+"/passkey", c.Passkey.Request, &assertion)
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/passkey", string(assertion))
	c = s.until(c, "with a code to compare, or active", func(c enlace.Channel) bool {
		return c.Passkey != nil && c.Passkey.Code != "" || c.Status == enlace.Active
	})
	if c.Status != enlace.Active {
		var phone struct {
			Code string `json:"passkeyCode"`
		}
		w.call(http.MethodGet, "/phones/"+number, nil, &phone)
		if phone.Code != c.Passkey.Code {
			t.Error("want the phone's code in the channel, got another")
		}
		s.call(http.StatusAccepted, http.MethodPost, path(c)+"/passkey/confirm", "")
		c = s.untilActive(c)
	}
	if c.PhoneNumber != number {
		t.Errorf("want the phone's number, got %+v", c)
	}
	s.comesBack(i, w, c)
}

func TestStory_ThirtyChannelsAtOnce(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	all := make([]enlace.Channel, 30)
	var linking sync.WaitGroup
	for n := range all {
		linking.Go(func() { all[n], _ = s.linked(w, fmt.Sprintf("channel-%d", n)) })
	}
	linking.Wait()
	if t.Failed() {
		return
	}
	if got := w.stats(); got.Connections != len(all) || got.Logins != len(all) {
		t.Errorf("want %d connections after as many logins, got %+v", len(all), got)
	}
	s.comesBack(i, w, all...)
}
