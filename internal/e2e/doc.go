// Package e2e drives the real programs over HTTP, as a caller would: enlace and,
// in WhatsApp's place, the test server with its phones, each a process of its own
// that is killed, stopped, starved and started again. Its tests are the story
// that the product promises, and what may go wrong in it.
package e2e
