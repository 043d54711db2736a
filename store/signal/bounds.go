package signal

import "strings"

// What others write into their messages, and WhatsApp does not look at, is kept
// within bounds: a row that no table takes would end the session each time the
// message comes again, for ever.
const (
	maxName     = 512 // bytes; WhatsApp's apps write 25 characters
	maxSecret   = 64  // bytes; a secret has 32
	maxSecretID = 512 // bytes; an id has about 32
)

// bounded returns as much of a name as is kept.
func bounded(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "")
}

// isSecret reports whether a message's secret is one, and so is kept.
func isSecret(id string, key []byte) bool {
	return len(key) <= maxSecret && len(id) <= maxSecretID
}
