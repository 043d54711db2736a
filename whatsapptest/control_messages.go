package whatsapptest

import "net/http"

func (s *Server) sendCall(r *http.Request) (int, any, error) {
	var in Outgoing
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	id, err := s.Send(r.PathValue("number"), in)
	return http.StatusCreated, map[string]string{"id": id}, err
}

func (s *Server) messagesCall(r *http.Request) (int, any, error) {
	list, err := s.Messages(r.PathValue("number"))
	return http.StatusOK, list, err
}

func (s *Server) releaseCall(r *http.Request) (int, any, error) {
	var in struct {
		IDs []string `json:"ids"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, s.Release(r.PathValue("number"), in.IDs...)
}

func (s *Server) readCall(r *http.Request) (int, any, error) {
	var in struct {
		IDs    []string `json:"ids"`
		Played bool     `json:"played"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	mark := s.MarkRead
	if in.Played {
		mark = s.MarkPlayed
	}
	return http.StatusNoContent, nil, mark(r.PathValue("number"), in.IDs...)
}

func (s *Server) receiptsCall(r *http.Request) (int, any, error) {
	list, err := s.Receipts(r.PathValue("number"))
	return http.StatusOK, map[string][]Receipt{"receipts": list}, err
}

func (s *Server) chatStatesCall(r *http.Request) (int, any, error) {
	list, err := s.ChatStates(r.PathValue("number"))
	return http.StatusOK, map[string][]ChatState{"chatStates": list}, err
}

func (s *Server) groupCall(r *http.Request) (int, any, error) {
	var in struct {
		Members []string `json:"members"`
		Subject string   `json:"subject"`
	}
	if err := readBody(r, &in); err != nil {
		return 0, nil, err
	}
	id, err := s.CreateGroup(in.Subject, in.Members...)
	return http.StatusCreated, map[string]string{"id": id}, err
}

func (s *Server) reinstallCall(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, s.Reinstall(r.PathValue("number"))
}
