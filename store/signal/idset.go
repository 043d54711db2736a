package signal

import (
	"encoding/binary"
	"slices"
)

// idSet is a set of prekey ids as sorted, disjoint, non-adjacent runs.
type idSet []idRun

// idRun is the ids from first up to, but not including, end.
type idRun struct{ first, end uint32 }

func (s idSet) has(id uint32) bool {
	i := s.search(id)
	return i < len(s) && s[i].first <= id
}

// search returns the index of the first run that ends after id.
func (s idSet) search(id uint32) int {
	i, _ := slices.BinarySearchFunc(s, id, func(run idRun, id uint32) int {
		if run.end <= id {
			return -1
		}
		return 1
	})
	return i
}

// with returns s and the ids from first up to end. s is not changed.
func (s idSet) with(first, end uint32) idSet {
	if first >= end {
		return s
	}
	merged := make(idSet, 0, len(s)+1)
	i := 0
	for ; i < len(s) && s[i].end < first; i++ {
		merged = append(merged, s[i])
	}
	run := idRun{first, end}
	for ; i < len(s) && s[i].first <= end; i++ {
		run = idRun{min(run.first, s[i].first), max(run.end, s[i].end)}
	}
	return append(append(merged, run), s[i:]...)
}

// without returns the ids of s from first on.
func (s idSet) from(first uint32) idSet {
	var rest idSet
	for _, run := range s {
		if run.end > first {
			rest = append(rest, idRun{max(run.first, first), run.end})
		}
	}
	return rest
}

// count returns how many ids of s are from first up to, but not including, end.
func (s idSet) count(first, end uint32) int {
	n := 0
	for _, run := range s {
		if low, high := max(run.first, first), min(run.end, end); low < high {
			n += int(high - low)
		}
	}
	return n
}

func (s idSet) encode() []byte {
	var b []byte
	last := uint32(0)
	for _, run := range s {
		b = binary.AppendUvarint(b, uint64(run.first-last))
		b = binary.AppendUvarint(b, uint64(run.end-run.first))
		last = run.end
	}
	return b
}

func decodeIDSet(b []byte) (idSet, error) {
	var s idSet
	last := uint64(0)
	for len(b) > 0 {
		gap, rest, err := takeNumber(b)
		if err != nil {
			return nil, err
		}
		length, rest, err := takeNumber(rest)
		first := last + gap
		end := first + length
		if err != nil || length == 0 || first < last || end < first || end > 1<<32-1 {
			return nil, errMalformed
		}
		s = append(s, idRun{uint32(first), uint32(end)})
		last, b = end, rest
	}
	return s, nil
}
