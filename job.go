package enlace

// Job asks for a channel to be connected. It is a wake-up and no more: the
// channel is the truth, and a lost or doubled job changes nothing but time.
type Job struct {
	ChannelID string `json:"channelId"`
}
