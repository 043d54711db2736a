package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/enlacehq/enlace"
)

type connectCommand struct {
	URL     string `help:"Where the API is." default:"http://127.0.0.1:8080"`
	Key     string `help:"The API key; others on the machine can read it there, --key-file is better." placeholder:"enl_…"`
	KeyFile string `help:"The file that holds the API key." placeholder:"FILE"`
	Company string `help:"The company." required:"" placeholder:"ID"`
	Type    string `help:"The channel's type." default:"WHATSAPP_WEB"`
	Name    string `help:"The channel's name." default:"default"`
	Pairing string `help:"How to link the device: qr or code." enum:"qr,code" default:"qr"`
	Phone   string `help:"The account's phone number with its country code, for --pairing code." placeholder:"DIGITS"`
}

func (c *connectCommand) Run(ctx context.Context) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	client := &apiClient{base: strings.TrimSuffix(c.URL, "/") + "/v1/companies/" + c.Company, key: key}
	request := map[string]any{"type": c.Type, "name": c.Name}
	if c.Pairing == string(enlace.PairByCode) {
		if c.Phone == "" {
			return errors.New("--pairing code needs --phone")
		}
		request["pairing"] = enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: strings.TrimPrefix(c.Phone, "+")}
	}
	var channel enlace.Channel
	_, err = client.do(ctx, http.MethodPost, "/channels", request, nil, &channel)
	var problem *problemError
	if errors.As(err, &problem) && problem.Code == enlace.CodeChannelActive {
		fmt.Println("the channel is active already")
		return nil
	}
	if err != nil {
		return err
	}
	screen := &screen{terminal: isTerminal(os.Stdout)}
	return c.follow(ctx, client, screen, channel)
}

func (c *connectCommand) key() (string, error) {
	switch {
	case c.Key != "":
		return c.Key, nil
	case c.KeyFile == "":
		return "", errors.New("an API key is needed: --key-file FILE, such as the data folder's admin.key, or ENLACE_KEY")
	}
	content, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return "", fmt.Errorf("--key-file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// follow shows what becomes of the channel until it is active, or will not be.
func (c *connectCommand) follow(ctx context.Context, client *apiClient, screen *screen, channel enlace.Channel) error {
	path := "/channels/" + channel.ID
	failures := 0
	for {
		switch channel.Status {
		case enlace.Active:
			screen.show("active: " + channel.PhoneNumber)
			return nil
		case enlace.Connecting:
			c.showProgress(ctx, client, screen, channel)
		default:
			return fmt.Errorf("the channel is %s: %s%s", channel.Status, channel.Reason, because(channel.LastError))
		}
		next := channel
		status, err := client.do(ctx, http.MethodGet, path, nil, map[string]string{
			"If-None-Match": fmt.Sprintf("%q", fmt.Sprint(channel.Version)), "Prefer": "wait=25",
		}, &next)
		var problem *problemError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &problem) && problem.Status < http.StatusInternalServerError:
			return err
		case err != nil: // the server is restarting, or the network is away
			if failures++; failures > patience {
				return err
			}
			sleep(ctx, time.Second)
		case status == http.StatusOK:
			failures, channel = 0, next
		}
	}
}

// patience is how many polls in a row may fail.
const patience = 30

func (c *connectCommand) showProgress(ctx context.Context, client *apiClient, screen *screen, channel enlace.Channel) {
	switch {
	case channel.QR != nil:
		picture, err := client.text(ctx, "/channels/"+channel.ID+"/qr")
		if err != nil {
			return // the code has just changed: the next poll has another
		}
		screen.showQR(fmt.Sprintf("Scan with WhatsApp, Linked devices (code %d of %d, until %s):",
			channel.QR.Attempt, channel.QR.Of, channel.QR.ExpiresAt.Local().Format(time.TimeOnly)), picture)
	case channel.PairingCode != "":
		screen.show("In WhatsApp, Linked devices, Link with phone number, type: " + channel.PairingCode)
	case channel.Passkey != nil:
		screen.show("WhatsApp asks for the account's passkey: answer it through the API, POST " + client.base + "/channels/" + channel.ID + "/passkey")
	case channel.Reconnect != nil:
		screen.show(fmt.Sprintf("connecting, try %d%s", channel.Reconnect.Attempt, because(channel.LastError)))
	default:
		screen.show("connecting")
	}
}

func because(last *enlace.LastError) string {
	if last == nil {
		return ""
	}
	return " (" + last.Message + ")"
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// problemError is the API's word on what it refused.
type problemError struct {
	Status int         `json:"status"`
	Code   enlace.Code `json:"code"`
	Detail string      `json:"detail"`
}

func (p *problemError) Error() string { return fmt.Sprintf("%s: %s", p.Code, p.Detail) }

func parseProblem(status int, body []byte) error {
	p := &problemError{}
	if err := json.Unmarshal(body, p); err != nil || p.Code == "" {
		return fmt.Errorf("the server answered %d %s, which is not enlace's way", status, http.StatusText(status))
	}
	p.Status = status
	return p
}
