// Package whatsapptest is a WhatsApp multi-device server for tests and demos,
// with the phones that use it: unmodified clients connect to it, are linked by
// the phones' scan of their QR code, by pairing code or with a passkey, log in,
// and write to phones and to each other. Nothing leaves the machine. It is a
// Go library (New, then Serve, Run, or the Server as an http.Handler), and
// what its methods do can also be asked for over HTTP, on the same listener
// as the websocket; Control lists the calls. A client trusts it by RootKey in
// place of WhatsApp's own, and reaches it by a Transport that rewrites where
// requests go.
package whatsapptest
