package whatsapptest

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// What an account's devices share of their settings is small here: its owner's
// name, under one key that follows from the number, so that nothing of it need be kept.

var appStateKeyID = []byte{0, 0, 0, 0, 0, 1}

// appStateTime is when the key was made.
var appStateTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// appStateKey has a phone's key for what processes patches.
type appStateKey struct {
	*wastore.NoopStore
	key wastore.AppStateSyncKey
}

func (k appStateKey) GetAppStateSyncKey(context.Context, []byte) (*wastore.AppStateSyncKey, error) {
	return &k.key, nil
}

func (p *phone) appStateKey() appStateKey {
	data := sha256.Sum256([]byte("app state/" + p.number))
	return appStateKey{&wastore.NoopStore{}, wastore.AppStateSyncKey{Data: data[:], Timestamp: appStateTime.UnixMilli()}}
}

// ShareAppState has a phone give its linked devices the key of what it shares with
// them, as WhatsApp's do when a device is new.
func (s *Server) ShareAppState(number string) error {
	s.mu.Lock()
	p, err := s.phoneFor(number)
	if err == nil {
		for _, d := range p.sorted() {
			s.shareAppStateKey(p, d.id)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}

func (s *Server) shareAppStateKey(p *phone, device uint16) {
	key := p.appStateKey().key
	s.tellDevice(p, device, &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum(),
		AppStateSyncKeyShare: &waE2E.AppStateSyncKeyShare{Keys: []*waE2E.AppStateSyncKey{{
			KeyID: &waE2E.AppStateSyncKeyId{KeyID: appStateKeyID},
			KeyData: &waE2E.AppStateSyncKeyData{
				KeyData: key.Data, Timestamp: proto.Int64(key.Timestamp), Fingerprint: &waE2E.AppStateSyncKeyFingerprint{RawID: proto.Uint32(1)},
			},
		}}},
	})
}

// answerKeyRequest gives a device the key if it asks for it.
func (s *Server) answerKeyRequest(p *phone, device uint16, request *waE2E.AppStateSyncKeyRequest) {
	wanted := func(id *waE2E.AppStateSyncKeyId) bool { return slices.Equal(id.GetKeyID(), appStateKeyID) }
	if !p.silent && slices.ContainsFunc(request.GetKeyIDs(), wanted) {
		s.shareAppStateKey(p, device)
	}
}

// answerAppState gives a device what changed in each collection since the version
// that it has: the name, once.
func (s *Server) answerAppState(c *conn, iq, sync *waBinary.Node) *waBinary.Node {
	var collections []waBinary.Node
	for _, wanted := range sync.GetChildrenByTag("collection") {
		name := text(&wanted, "name")
		answer := element("collection", waBinary.Attrs{"name": name, "has_more_patches": "false"}, nil)
		version := text(&wanted, "version")
		if name == string(appstate.WAPatchCriticalBlock) && (version == "" || version == "0") {
			patch, err := c.phone.namePatch()
			if err != nil {
				s.log.Error("no patch of the app state", "error", err)
				return iqError(iq, 500, "internal-server-error")
			}
			answer.Content = []waBinary.Node{element("patches", nil, []waBinary.Node{element("patch", nil, patch)})}
		}
		collections = append(collections, answer)
	}
	return result(iq, element("sync", nil, collections))
}

// namePatch is the first version of the collection with the owner's name.
func (p *phone) namePatch() ([]byte, error) {
	key := p.appStateKey()
	processor := appstate.NewProcessor(&wastore.Device{AppStateKeys: key, AppState: key}, waLog.Noop)
	change := appstate.BuildSettingPushName(p.name)
	change.Timestamp = appStateTime
	raw, err := processor.EncodePatch(context.Background(), appStateKeyID, appstate.HashState{}, change)
	if err != nil {
		return nil, err
	}
	var patch waServerSync.SyncdPatch
	if err := proto.Unmarshal(raw, &patch); err != nil {
		return nil, err
	}
	patch.Version = &waServerSync.SyncdVersion{Version: proto.Uint64(1)}
	return proto.Marshal(&patch)
}

// NotifyAppState tells a phone's linked devices that a collection has changed.
func (s *Server) NotifyAppState(number, collection string) error {
	s.mu.Lock()
	p, err := s.phoneFor(number)
	if err == nil {
		for _, d := range p.sorted() {
			s.notify(d, types.ServerJID, "server_sync", element("collection", waBinary.Attrs{"name": collection, "version": "1"}, nil))
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}
