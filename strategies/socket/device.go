package socket

import (
	"context"
	"errors"
	"sync"

	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace"
)

// notebook is the container of a session's device: it notes what becomes known
// of the account whenever whatsmeow saves the device. whatsmeow changes a device
// in many goroutines without a lock; this is the place where reading it is safe.
type notebook struct {
	wastore.DeviceContainer
	// changed has room for one word that the account is not what it was.
	changed chan struct{}

	mu      sync.Mutex
	id      types.JID
	account enlace.Account
	saves   int
}

var _ wastore.DeviceContainer = (*notebook)(nil)

// keepNotes puts a notebook before the container of device.
func keepNotes(device *wastore.Device) *notebook {
	n := &notebook{DeviceContainer: device.Container, changed: make(chan struct{}, 1)}
	n.note(device)
	device.Container = n
	return n
}

// PutDevice stores the device.
func (n *notebook) PutDevice(ctx context.Context, device *wastore.Device) error {
	n.mu.Lock()
	n.saves++
	n.mu.Unlock()
	if err := n.DeviceContainer.PutDevice(ctx, device); err != nil {
		return err
	}
	if n.note(device) {
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

var errKept = errors.New("kept until the session's end is dealt with")

// DeleteDevice only passes the wish on. It fails, because whatsmeow would go on
// to empty the device while its other goroutines use it.
func (n *notebook) DeleteDevice(ctx context.Context, device *wastore.Device) error {
	if err := n.DeviceContainer.DeleteDevice(ctx, device); err != nil {
		return err
	}
	return errKept
}

func (n *notebook) note(device *wastore.Device) (changed bool) {
	id := device.GetJID()
	account := enlace.Account{PhoneNumber: id.User, LID: device.GetLID().User, PushName: device.PushName}
	n.mu.Lock()
	defer n.mu.Unlock()
	changed = account != n.account
	n.id, n.account = id, account
	return changed
}

// known returns the device's address and what is known of its account.
func (n *notebook) known() (types.JID, enlace.Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id, n.account
}

// saved reports whether whatsmeow tried to save the device in this session.
func (n *notebook) saved() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.saves > 0
}

// deviceName is what a phone's list of linked devices shows.
const deviceName = "enlace"

// deviceProps returns what a new device says of itself: whatsmeow's defaults
// under our name.
func deviceProps() []byte {
	props := proto.Clone(wastore.DeviceProps).(*waCompanionReg.DeviceProps)
	props.Os = proto.String(deviceName)
	encoded, _ := proto.Marshal(props) // cannot fail: no required field, no invalid text
	return encoded
}
