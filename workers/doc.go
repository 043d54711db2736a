// Package workers owns channels. A worker claims channels that want an owner,
// runs one supervisor for each, which opens sessions by the channel's strategy
// and records what becomes of them, and gives the channels up when it leaves.
// That it is alive, other workers see by its heartbeat; one that falls silent is
// buried and its channels are taken over. The rules that keep a channel from
// having two sessions at once are kept here and in package store.
package workers
