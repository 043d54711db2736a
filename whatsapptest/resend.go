package whatsapptest

import (
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// resend answers a device that could not decrypt a message of the phone: on the
// session as it is, or on a new one if the device has sent keys for it.
func (s *Server) resend(p *phone, to party, receipt *waBinary.Node) {
	id := text(receipt, "id")
	kept, ok := p.kept[id]
	if !ok || kept.Recipient == "" || p.silent {
		return
	}
	if b := parseBundle(receipt); b != nil {
		if err := p.signal.begin(signalAddress(to.phone, to.id), b); err != nil {
			s.log.Debug("a retry receipt has bad keys", "error", err)
			return
		}
	}
	node, err := s.resent(p, to, id, kept, receipt)
	if err != nil {
		s.log.Debug("a phone cannot send again", "error", err)
		return
	}
	s.relay(party{p, 0}, &node)
}

// resent makes the stanza of a resend.
func (s *Server) resent(p *phone, to party, id string, kept archived, receipt *waBinary.Node) (waBinary.Node, error) {
	m := new(waE2E.Message)
	if err := proto.Unmarshal(kept.Message, m); err != nil {
		return waBinary.Node{}, err
	}
	chat, err := types.ParseJID(kept.Recipient)
	if err != nil {
		return waBinary.Node{}, err
	}
	attrs := waBinary.Attrs{"id": id, "type": "text", "device_fanout": "false", "to": to.in(chat.Server)}
	switch {
	case chat.Server == types.GroupServer:
		key, err := p.signal.distribution(senderKey(chat, p, 0))
		if err != nil {
			return waBinary.Node{}, err
		}
		m.SenderKeyDistributionMessage = distributionMessage(chat, key).SenderKeyDistributionMessage
		attrs["to"], attrs["participant"] = chat, to.in(types.HiddenUserServer)
	case kept.Peer:
		attrs["category"] = "peer"
	case to.phone == p:
		m = sentCopy(chat, m)
		attrs["recipient"] = chat
	}
	plain, err := proto.Marshal(m)
	if err != nil {
		return waBinary.Node{}, err
	}
	enc, err := s.encrypt(p, to.phone, to.id, plain, currentSession)
	if err != nil {
		return waBinary.Node{}, err
	}
	retry := receipt.GetChildByTag("retry")
	enc.Attrs["count"] = text(&retry, "count")
	return element("message", attrs, []waBinary.Node{enc}), nil
}

// answerPeer answers an own device that asks its phone for messages: those that
// it could not decrypt and the phone has, or older ones.
func (s *Server) answerPeer(p *phone, e envelope, request *waE2E.PeerDataOperationRequestMessage) {
	if p.silent {
		return
	}
	switch request.GetPeerDataOperationRequestType() {
	case waE2E.PeerDataOperationRequestType_PLACEHOLDER_MESSAGE_RESEND:
		s.answerPlaceholders(p, e, request)
	case waE2E.PeerDataOperationRequestType_HISTORY_SYNC_ON_DEMAND:
		s.answerHistory(p, e, request.GetHistorySyncOnDemandRequest())
	}
}

// answerPlaceholders gives a device the messages that it asks for.
func (s *Server) answerPlaceholders(p *phone, e envelope, request *waE2E.PeerDataOperationRequestMessage) {
	response := &waE2E.PeerDataOperationRequestResponseMessage{
		PeerDataOperationRequestType: request.PeerDataOperationRequestType,
		StanzaID:                     proto.String(e.id),
	}
	for _, wanted := range request.GetPlaceholderMessageResendRequest() {
		kept, ok := p.kept[wanted.GetMessageKey().GetID()]
		if !ok {
			continue
		}
		web, err := kept.web()
		if err != nil {
			continue
		}
		web.Key = wanted.GetMessageKey()
		raw, err := proto.Marshal(web)
		if err != nil {
			continue
		}
		response.PeerDataOperationResult = append(response.PeerDataOperationResult,
			&waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult{
				PlaceholderMessageResendResponse: &waE2E.PeerDataOperationRequestResponseMessage_PeerDataOperationResult_PlaceholderMessageResendResponse{
					WebMessageInfoBytes: raw,
				},
			})
	}
	if len(response.PeerDataOperationResult) == 0 {
		return
	}
	s.tellDevice(p, e.sender.id, &waE2E.ProtocolMessage{
		Type:                                    waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE.Enum(),
		PeerDataOperationRequestResponseMessage: response,
	})
}

// tellDevice sends a message of a phone's own protocol to one of its devices.
func (s *Server) tellDevice(p *phone, device uint16, content *waE2E.ProtocolMessage) {
	plain, err := proto.Marshal(&waE2E.Message{ProtocolMessage: content})
	if err != nil {
		s.log.Error("a message does not marshal", "error", err)
		return
	}
	id := newMessageID()
	p.kept[id] = archived{Message: plain, At: unixNow(), Recipient: p.lidJID(device).String(), Peer: true}
	enc, err := s.encrypt(p, p, device, plain, currentSession)
	if err != nil {
		s.log.Debug("a phone cannot write to its device", "error", err)
		return
	}
	node := element("message", waBinary.Attrs{
		"id": id, "type": "text", "category": "peer", "to": p.lidJID(device),
	}, []waBinary.Node{enc})
	s.relay(party{p, 0}, &node)
}
