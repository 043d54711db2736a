package handlers

import (
	"strconv"
	"strings"
)

// negotiate returns the media type among offers that an Accept header prefers,
// the first of those it likes as well as any. Without a header that is the first
// offer; ok is false when the header refuses all of them.
func negotiate(accept string, offers []string) (offer string, ok bool) {
	if strings.TrimSpace(accept) == "" {
		return offers[0], true
	}
	best := 0.0
	for _, o := range offers {
		if q := quality(accept, o); q > best {
			best, offer = q, o
		}
	}
	return offer, best > 0
}

// quality is the weight that the most specific matching range of an Accept
// header (RFC 9110 §12.5.1) gives to an offer.
func quality(accept, offer string) float64 {
	offer, _, _ = strings.Cut(offer, ";")
	family, _, _ := strings.Cut(offer, "/")
	weight, specific := 0.0, 0
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		rank := 0
		switch strings.ToLower(strings.TrimSpace(name)) {
		case offer:
			rank = 3
		case family + "/*":
			rank = 2
		case "*/*":
			rank = 1
		}
		if rank > specific {
			specific, weight = rank, parseWeight(parameters)
		}
	}
	return weight
}

// parseWeight returns the q among a range's parameters, 1 when there is none that can be read.
func parseWeight(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
	}
	return 1
}
