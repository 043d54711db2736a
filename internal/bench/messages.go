package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// event is what the bench reads of one.
type event struct {
	Event string `json:"event"`
	Data  struct {
		Message struct {
			ID string `json:"id"`
		} `json:"message"`
		Status struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"status"`
	} `json:"data"`
}

// events reads what follows in a channel's log, of one kind if kind is not empty.
// With held the answer waits until there is something.
func (p *product) events(ctx context.Context, c *chat, kind string, held bool) ([]event, error) {
	query := url.Values{"limit": {"1000"}}
	if c.next != "" {
		query.Set("after", c.next)
	}
	if kind != "" {
		query.Set("type", kind)
	}
	header := http.Header{}
	if held {
		header.Set("Prefer", "wait=25")
	}
	var page struct {
		Events []event `json:"events"`
		Next   string  `json:"next"`
	}
	if _, err := p.call(ctx, http.MethodGet, companyPath+"/"+c.id+"/events?"+query.Encode(), "", header, &page); err != nil {
		return nil, err
	}
	c.next = page.Next
	return page.Events, nil
}

// post asks for a text to the chat's contact, and returns the id under which it is sent.
func (p *product) post(ctx context.Context, c *chat, text string) (whatsappID string, err error) {
	var answer struct {
		WhatsAppID string `json:"whatsappId"`
	}
	body := fmt.Sprintf(`{"messaging_product":"whatsapp","to":%q,"type":"text","text":{"body":%q}}`, c.contact, text)
	_, err = p.call(ctx, http.MethodPost, companyPath+"/"+c.id+"/messages", body, nil, &answer)
	return answer.WhatsAppID, err
}
