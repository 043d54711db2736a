package whatsapptest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// controlMax is the longest body of a control call, in bytes.
const controlMax = 1 << 20

// Control lists the calls of the control API, which mirror the Server's methods.
// Bodies are JSON; unknown fields are refused. Errors are {"code", "message"}.
const Control = `
POST   /phones/{number}/scan       {"qr"}        Scan; 200 {"device"} or 202 {"passkey": true}
POST   /phones/{number}/link       {"code"}      Link; the same
POST   /phones/{number}/passkey    WebAuthn question   AnswerPasskey; 200 the answer
GET    /phones/{number}                          Phone
PUT    /phones/{number}            PhoneSettings SetPhone; 200 the phone
POST   /phones/{number}/reinstall                Reinstall; 204
GET    /phones/{number}/devices                  Devices; 200 {"devices": [...]}
DELETE /phones/{number}/devices/{device}         Unlink; 204
POST   /phones/{number}/online     {"online"}    SetOnline; 204
POST   /phones/{number}/messages   Outgoing: {"to", "text", "group"?, "content"?, …}   Send; 201 {"id"}
GET    /phones/{number}/messages                 Messages; 200 {"messages": [...], "sent": [...]}
POST   /phones/{number}/release    {"ids"?}      Release; 204
POST   /phones/{number}/read       {"ids", "played"?}   MarkRead, MarkPlayed; 204
GET    /phones/{number}/receipts                 Receipts; 200 {"receipts": [...]}
GET    /phones/{number}/chatstates               ChatStates; 200 {"chatStates": [...]}
POST   /groups                     {"members", "subject"?}   CreateGroup; 201 {"id"}
POST   /faults                     Fault         AddFault; 201 {"id"}
GET    /faults                                   Faults; 200 {"faults": [...]}
DELETE /faults/{id}                              RemoveFault; 204
GET    /version                                  Version
PUT    /version                    {"revision", "minimum"?}   SetVersion; 204
GET    /stats                                    Stats
GET    /                                         the version page that clients read
`

// controlCall does a call and returns the HTTP status and the body of the answer.
type controlCall func(r *http.Request) (status int, answer any, err error)

// routes is everything that the listener serves.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws/chat", s.chat)
	mux.HandleFunc("GET /{$}", s.versionPage)
	mux.HandleFunc("GET /sw.js", s.versionPage)

	limited := func(limit int64) func(pattern string, call controlCall) {
		return func(pattern string, call controlCall) {
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				r.Body = http.MaxBytesReader(w, r.Body, limit)
				status, answer, err := call(r)
				if err != nil {
					status, answer = refused(err)
				}
				reply(w, status, answer)
			})
		}
	}
	control, file := limited(controlMax), limited(mediaMax)
	control("POST /phones/{number}/scan", s.scanCall)
	control("POST /phones/{number}/link", s.linkCall)
	control("POST /phones/{number}/passkey", s.passkeyCall)
	control("GET /phones/{number}", s.phoneCall)
	control("PUT /phones/{number}", s.setPhoneCall)
	control("GET /phones/{number}/devices", s.devicesCall)
	control("DELETE /phones/{number}/devices/{device}", s.unlinkCall)
	control("POST /phones/{number}/online", s.onlineCall)
	control("POST /phones/{number}/reinstall", s.reinstallCall)
	control("POST /phones/{number}/messages", s.sendCall)
	control("GET /phones/{number}/messages", s.messagesCall)
	control("POST /phones/{number}/release", s.releaseCall)
	control("POST /phones/{number}/read", s.readCall)
	control("GET /phones/{number}/receipts", s.receiptsCall)
	control("GET /phones/{number}/chatstates", s.chatStatesCall)
	control("POST /groups", s.groupCall)
	control("POST /faults", s.addFaultCall)
	control("GET /faults", s.faultsCall)
	control("DELETE /faults/{id}", s.removeFaultCall)
	control("GET /version", func(*http.Request) (int, any, error) { return http.StatusOK, s.Version(), nil })
	control("PUT /version", s.setVersionCall)
	control("GET /stats", func(*http.Request) (int, any, error) { return http.StatusOK, s.Stats(), nil })
	// Files, as WhatsApp's clients fetch, send and delete them.
	mux.HandleFunc("GET /media/{id}", s.download)
	file("POST /mms/{kind}/{token}", s.upload)
	file("DELETE /mms/{kind}/{token}", s.deleteFile)
	control("/", func(*http.Request) (int, any, error) {
		return 0, nil, notFound("no_route", "there is no such call")
	})
	return mux
}

func (s *Server) scanCall(r *http.Request) (int, any, error) {
	var in struct {
		QR string `json:"qr"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	linked, err := s.Scan(r.Context(), r.PathValue("number"), in.QR)
	return linkedStatus(linked), linked, err
}

func (s *Server) linkCall(r *http.Request) (int, any, error) {
	var in struct {
		Code string `json:"code"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	linked, err := s.Link(r.Context(), r.PathValue("number"), in.Code)
	return linkedStatus(linked), linked, err
}

func linkedStatus(l Linked) int {
	if l.Passkey {
		return http.StatusAccepted
	}
	return http.StatusOK
}

func (s *Server) passkeyCall(r *http.Request) (int, any, error) {
	question, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	answer, err := s.AnswerPasskey(r.PathValue("number"), question)
	return http.StatusOK, json.RawMessage(answer), err
}

func (s *Server) phoneCall(r *http.Request) (int, any, error) {
	p, err := s.Phone(r.PathValue("number"))
	return http.StatusOK, p, err
}

func (s *Server) setPhoneCall(r *http.Request) (int, any, error) {
	var in PhoneSettings
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	p, err := s.SetPhone(r.PathValue("number"), in)
	return http.StatusOK, p, err
}

func (s *Server) devicesCall(r *http.Request) (int, any, error) {
	list, err := s.Devices(r.PathValue("number"))
	return http.StatusOK, map[string][]Device{"devices": list}, err
}

func (s *Server) unlinkCall(r *http.Request) (int, any, error) {
	id, err := strconv.Atoi(r.PathValue("device"))
	if err != nil {
		return 0, nil, badRequest("bad_device", "a device is a number")
	}
	return http.StatusNoContent, nil, s.Unlink(r.PathValue("number"), id)
}

func (s *Server) onlineCall(r *http.Request) (int, any, error) {
	var in struct {
		Online *bool `json:"online"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Online == nil {
		return 0, nil, badRequest("bad_body", "online is missing")
	}
	return http.StatusNoContent, nil, s.SetOnline(r.PathValue("number"), *in.Online)
}

func (s *Server) addFaultCall(r *http.Request) (int, any, error) {
	var in Fault
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	id, err := s.AddFault(in)
	return http.StatusCreated, map[string]string{"id": id}, err
}

func (s *Server) faultsCall(*http.Request) (int, any, error) {
	return http.StatusOK, map[string][]Fault{"faults": s.Faults()}, nil
}

func (s *Server) removeFaultCall(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, s.RemoveFault(r.PathValue("id"))
}

func (s *Server) setVersionCall(r *http.Request) (int, any, error) {
	var in Version
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, s.SetVersion(in)
}

// readBody reads a call's body.
func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return &Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_long", Message: "the body is longer than 1 MiB"}
		}
		return badRequest("bad_body", "the body is not the JSON object that is wanted: %v", err)
	}
	if dec.More() {
		return badRequest("bad_body", "the body is more than one JSON object")
	}
	return nil
}

// refused turns an error into an answer.
func refused(err error) (int, any) {
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Status: http.StatusInternalServerError, Code: "internal", Message: err.Error()}
	}
	return known.Status, known
}

func reply(w http.ResponseWriter, status int, answer any) {
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a caller who has gone hears nothing
}
