package whatsapptest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	waBinary "go.mau.fi/whatsmeow/binary"
)

// mediaMax is the length of the longest file that is taken, in bytes.
const mediaMax = 100 << 20

// mediaConn tells a client where files are. The host does not matter: clients
// that reach this server reach it whatever the host.
func mediaConn() waBinary.Node {
	return element("media_conn", waBinary.Attrs{
		"auth": "test", "ttl": "3600", "auth_ttl": "3600", "max_buckets": "12",
	}, []waBinary.Node{element("host", waBinary.Attrs{"hostname": "mmg.whatsapp.net"}, nil)})
}

// sealedFile is a file as WhatsApp keeps it.
type sealedFile struct {
	key, hash, sealedHash []byte
	length                int
	path                  string // with a query, as clients add to it
}

// putFile encrypts a file and keeps it in memory, where clients can fetch it.
// purpose is WhatsApp's name for what the file is, such as "WhatsApp History Keys".
func (s *Server) putFile(content []byte, purpose string) (*sealedFile, error) {
	key := make([]byte, 32)
	rand.Read(key)
	keys, err := hkdf.Key(sha256.New, key, nil, purpose, 112)
	if err != nil {
		return nil, err
	}
	iv, cipherKey, macKey := keys[:16], keys[16:48], keys[48:80]
	block, err := aes.NewCipher(cipherKey)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(content)%aes.BlockSize
	sealed := append(bytes.Clone(content), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	mac := hmac.New(sha256.New, macKey)
	mac.Write(iv)
	mac.Write(sealed)
	sealed = append(sealed, mac.Sum(nil)[:10]...)

	hash, sealedHash := sha256.Sum256(content), sha256.Sum256(sealed)
	path := "/media/" + hex.EncodeToString(sealedHash[:])
	s.media[path] = sealed
	return &sealedFile{key: key, hash: hash[:], sealedHash: sealedHash[:], length: len(content), path: path + "?ccb=1"}, nil
}

// download serves a file.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, ok := s.media[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", timeNow(), bytes.NewReader(content))
}

// deleteFile forgets a file; clients name it by its hash in base64.
func (s *Server) deleteFile(r *http.Request) (int, any, error) {
	hash, err := base64.URLEncoding.DecodeString(r.PathValue("token"))
	if err != nil {
		return 0, nil, badRequest("bad_token", "the token is not base64")
	}
	s.mu.Lock()
	delete(s.media, "/media/"+hex.EncodeToString(hash))
	s.mu.Unlock()
	return http.StatusNoContent, nil, nil
}

// upload takes a file that a client has encrypted.
func (s *Server) upload(r *http.Request) (int, any, error) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return 0, nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_long", Message: "the file is longer than 100 MiB"}
		}
		return 0, nil, err
	}
	hash := sha256.Sum256(content)
	path := "/media/" + hex.EncodeToString(hash[:])
	s.mu.Lock()
	s.media[path] = content
	s.mu.Unlock()
	path += "?ccb=1"
	return http.StatusOK, map[string]string{"url": "https://mmg.whatsapp.net" + path, "direct_path": path}, nil
}
