package handlers

import (
	"strconv"
	"strings"
	"time"
)

// etag is the entity tag of a version.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// anyTag is the If-None-Match that every representation matches.
const anyTag = "*"

// noneMatch reports whether tag is not among the entity tags of an If-None-Match
// header: the caller does not have this version. Tags are compared weakly (RFC
// 9110 §13.1.2); what cannot be read matches nothing.
func noneMatch(header, tag string) bool {
	rest := strings.TrimSpace(header)
	if rest == anyTag {
		return false
	}
	for rest != "" {
		rest = strings.TrimLeft(rest, " \t,")
		rest = strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return true
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return true
		}
		if rest[:end+2] == tag {
			return false
		}
		rest = strings.TrimLeft(rest[end+2:], " \t")
	}
	return true
}

// preferredWait returns the wait preference of a Prefer header (RFC 7240), at
// most limit and in whole seconds; 0 when there is none. A preference that
// cannot be read is none: it may not fail a request.
func preferredWait(header string, limit time.Duration) time.Duration {
	for header != "" {
		var preference string
		preference, header, _ = strings.Cut(header, ",")
		preference, _, _ = strings.Cut(preference, ";") // parameters
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return 0
		}
		return min(time.Duration(seconds)*time.Second, limit.Truncate(time.Second))
	}
	return 0
}

// applied is the Preference-Applied header of a request that waited, or would have.
func applied(wait time.Duration) string {
	if wait == 0 {
		return ""
	}
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}
