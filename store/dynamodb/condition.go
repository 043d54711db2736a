package dynamodb

import (
	"maps"
	"slices"
	"strings"

	"github.com/enlacehq/enlace/store"
)

// expression is one of the engine's, with the values that it names.
type expression struct {
	text   string
	values attributes
}

// An item that has expired, by the time now, counts as absent, whether or not the
// engine has removed it.
const (
	isAbsent   = "(attribute_not_exists(" + AttributePK + ") OR " + AttributeTTL + " <= :now)"
	notExpired = "(attribute_not_exists(" + AttributeTTL + ") OR " + AttributeTTL + " > :now)"
	isPresent  = "attribute_exists(" + AttributePK + ") AND " + notExpired
	isVersion  = attributeVersion + " = :version AND " + notExpired
)

// conditionOf returns c as the engine's expression, at the time now; empty if it always holds.
func conditionOf(c store.Condition, now int64) expression {
	version, exact := c.Version()
	values := attributes{":now": num(now)}
	switch {
	case exact && version == 0:
		return expression{isAbsent, values}
	case exact:
		values[":version"] = num(version)
		return expression{isVersion, values}
	case c == store.Present:
		return expression{isPresent, values}
	}
	return expression{}
}

// counting returns the update that puts item over whatever version stands there,
// unless that has expired, or over nothing. Where it is put over what has expired,
// the version must begin again, which no update can say.
func counting(item store.Item, c store.Condition, now int64) (update string, condition expression) {
	condition = conditionOf(c, now)
	if condition.text == "" {
		condition = expression{notExpired, attributes{":now": num(now)}}
	}
	set := []string{attributeVersion + " = if_not_exists(" + attributeVersion + ", :zero) + :one"}
	var remove []string
	condition.values[":zero"], condition.values[":one"] = num(0), num(1)
	written := contents(item)
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if written[name] == nil {
			remove = append(remove, name)
			continue
		}
		set = append(set, name+" = :"+name)
		condition.values[":"+name] = written[name]
	}
	update = "SET " + strings.Join(set, ", ")
	if len(remove) > 0 {
		update += " REMOVE " + strings.Join(remove, ", ")
	}
	return update, condition
}
