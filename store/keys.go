package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
)

// Role says what an API key may do; each may all that the one before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // look, but not at what links an account
	Operator Role = "operator" // + connect, link, send, disconnect
	Admin    Role = "admin"    // + log out, delete, keys
)

var roles = []Role{Viewer, Operator, Admin}

// Includes reports whether r may what least may.
func (r Role) Includes(least Role) bool {
	return slices.Index(roles, r) >= slices.Index(roles, least) && slices.Contains(roles, r)
}

// AllCompanies stands in APIKey.Companies for every company.
const AllCompanies = "*"

// APIKey is what is known of a key. Its secret is shown once, when it is made.
type APIKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Role      Role      `json:"role"`
	Companies []string  `json:"companies"` // or AllCompanies alone
	CreatedAt time.Time `json:"createdAt"`
}

// Reaches reports whether the key is of a company.
func (k APIKey) Reaches(company string) bool {
	return slices.Contains(k.Companies, AllCompanies) || slices.Contains(k.Companies, company)
}

type apiKeyItem struct {
	APIKey
	Hash []byte `json:"hash"` // SHA-256 of the token's secret
}

const apiKeySchema = 1

// firstKeyItem says that the table has its first key, whatever became of it.
type firstKeyItem struct {
	ID string `json:"id"`
}

const firstKeySchema = 1

// A token is "enl_<id without prefix>_<secret>".
const tokenPrefix = "enl_"

// NewToken returns the token of a new key; PutKey makes it valid.
func NewToken() string {
	return tokenPrefix + enlace.NewID("") + "_" + strings.ToLower(rand.Text()+rand.Text())
}

// splitToken returns the key's id and the secret. No hint is given of what is wrong with a token.
func splitToken(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return enlace.KeyPrefix + id, secret, ok && enlace.ValidID(id) && len(secret) >= 32 && len(secret) <= 128
}

// PutKey stores the key that token belongs to. A token that is stored already is
// left as it is, so that a start that was interrupted can be repeated.
func (s *Store) PutKey(ctx context.Context, token string, key APIKey) (APIKey, error) {
	item, err := s.keyItem(token, &key)
	if err != nil {
		return APIKey{}, err
	}
	err = s.table.Write(ctx, Put(item, Absent))
	if err != nil && !isConflict(err) {
		return APIKey{}, fmt.Errorf("store API key: %w", err)
	}
	return key, nil
}

// keyItem gives key the id of token and the present time, and returns its item.
func (s *Store) keyItem(token string, key *APIKey) (Item, error) {
	id, secret, ok := splitToken(token)
	if !ok {
		return Item{}, errors.New("not an API key")
	}
	key.ID, key.CreatedAt = id, s.time()
	hash := sha256.Sum256([]byte(secret))
	value, err := Encode(apiKeySchema, apiKeyItem{APIKey: *key, Hash: hash[:]})
	return Item{Key: apiKeyKey(id), Value: value}, err
}

// FirstKey stores the key that token belongs to if the table never had a key, and
// reports whether it did: of many who try at once one succeeds.
func (s *Store) FirstKey(ctx context.Context, token string, key APIKey) (bool, error) {
	keys, err := s.Keys(ctx)
	if err != nil || len(keys) > 0 {
		return false, err
	}
	item, err := s.keyItem(token, &key)
	if err != nil {
		return false, err
	}
	value, err := Encode(firstKeySchema, firstKeyItem{ID: key.ID})
	if err != nil {
		return false, err
	}
	err = s.table.Write(ctx, Put(Item{Key: firstKeyKey, Value: value}, Absent), Put(item, Absent))
	if isConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store the first API key: %w", err)
	}
	return true, nil
}

// Keys lists the API keys by id.
func (s *Store) Keys(ctx context.Context) ([]APIKey, error) {
	items, err := s.partition(ctx, keysPK)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	keys := make([]APIKey, 0, len(items))
	for _, item := range items {
		k, err := decodeKey(item)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k.APIKey)
	}
	return keys, nil
}

// DeleteKey revokes a key: no process accepts it after its cache has expired, a
// minute later at most. CodeNotFound: there is none of that id.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	err := s.table.Write(ctx, Delete(apiKeyKey(id), Present))
	if isConflict(err) {
		return enlace.Errorf(enlace.CodeNotFound, "no such key")
	}
	s.authCache.forget(id)
	return err
}

var errUnauthorized = enlace.Errorf(enlace.CodeUnauthorized, "an API key is needed: Authorization: Bearer enl_…")

// Authenticate returns the key that token belongs to. CodeUnauthorized: it belongs to none.
func (s *Store) Authenticate(ctx context.Context, token string) (APIKey, error) {
	id, secret, ok := splitToken(token)
	if !ok {
		return APIKey{}, errUnauthorized
	}
	key, err := s.cachedKey(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return APIKey{}, errUnauthorized
	}
	if err != nil {
		return APIKey{}, err
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], key.Hash) != 1 {
		return APIKey{}, errUnauthorized
	}
	return key.APIKey, nil
}

func (s *Store) cachedKey(ctx context.Context, id string) (apiKeyItem, error) {
	now := s.now()
	if key, ok := s.authCache.get(id, now); ok {
		return key, nil
	}
	item, err := s.table.Get(ctx, apiKeyKey(id))
	if err != nil {
		return apiKeyItem{}, err
	}
	key, err := decodeKey(item)
	if err != nil {
		return apiKeyItem{}, err
	}
	s.authCache.put(key, now)
	return key, nil
}

func decodeKey(item Item) (apiKeyItem, error) {
	var k apiKeyItem
	if err := Decode(item.Value, apiKeySchema, &k); err != nil {
		return apiKeyItem{}, fmt.Errorf("API key %s: %w", item.SK, err)
	}
	return k, nil
}

// authCache spares the table a read for each request. Only keys that exist are
// kept, so that made-up tokens cannot fill it.
type authCache struct {
	mu   sync.Mutex
	keys map[string]cachedKey
}

type cachedKey struct {
	apiKeyItem
	until time.Time
}

const authCacheLife = time.Minute

func (c *authCache) get(id string, now time.Time) (apiKeyItem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.keys[id]
	return key.apiKeyItem, ok && now.Before(key.until)
}

func (c *authCache) put(key apiKeyItem, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = map[string]cachedKey{}
	}
	c.keys[key.ID] = cachedKey{apiKeyItem: key, until: now.Add(authCacheLife)}
}

func (c *authCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, id)
}
