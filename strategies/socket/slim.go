package socket

import (
	"reflect"

	"go.mau.fi/whatsmeow"
)

// slim gives back what a whatsmeow client sets aside for its last 256 sent
// messages, and reports whether it could: room for all of them, 40 KiB, which is
// a third of what a connected channel takes and which most channels never fill.
// The map is a field that cannot be reached otherwise; it grows again as messages
// are sent. Where the field is not found, nothing is changed. Only for a client
// that nobody uses yet.
func slim(wa *whatsmeow.Client) bool {
	field := reflect.ValueOf(wa).Elem().FieldByName("recentMessagesMap")
	if field.Kind() != reflect.Map || field.Len() != 0 {
		return false
	}
	reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem().Set(reflect.MakeMap(field.Type()))
	return true
}
