package handlers

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func (h *handlers) registerEvents(api huma.API) {
	register(api, Access{Least: store.Viewer, Codes: []enlace.Code{enlace.CodeNotFound, enlace.CodeInvalidCursor, enlace.CodeCursorGone}}, huma.Operation{
		OperationID: "listChannelEvents", Method: http.MethodGet, Path: channelPath + "/events", Tags: []string{tagEvents},
		Summary: "Read a channel's events",
		Description: "The log of the channel, oldest first, in numbers without gaps. Go on with `after` = the `next` of the answer before, also when it had no events: nothing is missed and nothing comes twice. " +
			"With `Prefer: wait=25` an answer without events is held until one is there. A cursor that the log does not reach any more is 410 `cursor_gone`: begin again without one. " +
			"The code of a `channel.qr`, `channel.pairing_code` or `channel.passkey` is shown while it is current, and not to a viewer.",
	}, h.listEvents)
}

type listEventsInput struct {
	ChannelPath
	After  string   `query:"after" maxLength:"64" doc:"The next of the answer before, or an event's number; events after it are listed. Left out: from the oldest that is kept." example:"1-12"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many events at most."`
	Type   []string `query:"type,explode" maxItems:"50" maxLength:"1000" doc:"Only events of these names; several by commas or by repeating the parameter. An answer may then be empty though next has moved on." example:"channel.qr,channel.ready"`
	Prefer string   `header:"Prefer" doc:"wait=N holds an answer without events back for up to N seconds until there is one." example:"wait=25"`
}

type listEventsOutput struct {
	PreferenceApplied string `header:"Preference-Applied" doc:"The wait that was granted." example:"wait=25"`
	CacheControl      string `header:"Cache-Control" hidden:"true"`
	Body              EventPage
}

// EventPage is a part of a channel's log.
type EventPage struct {
	Events []enlace.Event `json:"events" doc:"Oldest first."`
	Next   string         `json:"next" doc:"The after of the next request." example:"1-14"`
}

func (h *handlers) listEvents(ctx context.Context, in *listEventsInput) (*listEventsOutput, error) {
	types, err := eventTypes(in.Type)
	if err != nil {
		return nil, err
	}
	wait := preferredWait(in.Prefer, h.MaxHold)
	query := store.EventQuery{After: in.After, Limit: in.Limit, Types: types, Secrets: seesSecrets(ctx)}
	page, err := h.awaitEvents(ctx, in.ChannelPath, wait, query)
	if err != nil {
		return nil, err
	}
	return &listEventsOutput{PreferenceApplied: applied(wait), CacheControl: private, Body: EventPage(page)}, nil
}

// awaitEvents reads a page of events, until there is one in it or the wait is over.
func (h *handlers) awaitEvents(ctx context.Context, path ChannelPath, wait time.Duration, query store.EventQuery) (store.EventPage, error) {
	if wait == 0 {
		return h.Store.Events(ctx, path.CompanyID, path.ChannelID, query)
	}
	held, cancel := h.hold(ctx, wait)
	defer cancel()
	watch := h.Store.WatchChannel(path.ChannelID) // before the first read, so that no event falls between
	defer watch.Stop()
	for {
		page, err := h.Store.Events(ctx, path.CompanyID, path.ChannelID, query)
		if err != nil || len(page.Events) > 0 || held.Err() != nil {
			return page, err
		}
		moved := page.Next != query.After
		query.After = page.Next
		if moved {
			continue // there may be more to look through
		}
		if err := h.untilEvents(ctx, held, watch, path.ChannelID, page.Next); err != nil {
			return page, nil
		}
	}
}

// untilEvents returns nil when the channel may have events after a cursor, or
// held's error. Where the table must be asked it costs one read a second.
func (h *handlers) untilEvents(ctx, held context.Context, watch *store.Watch, channelID, after string) error {
	for {
		if err := watch.Wait(held); err != nil {
			return err
		}
		if !watch.Polls() {
			return nil
		}
		more, err := h.Store.HasEvents(ctx, channelID, after)
		if err != nil || more {
			return nil // an error is met again, and told, by the reader of the page
		}
	}
}

var eventName = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)+$`)

// eventTypes reads the type parameter. A name that no event has is taken, as a
// caller may be newer than the program; what cannot be a name is refused.
func eventTypes(values []string) ([]enlace.EventName, error) {
	var types []enlace.EventName
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if !eventName.MatchString(name) {
				return nil, enlace.Errorf(enlace.CodeInvalidRequest, "type takes names of events, such as %s", enlace.EventReady)
			}
			types = append(types, enlace.EventName(name))
		}
	}
	return types, nil
}
