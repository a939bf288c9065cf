package live

import (
	"context"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// Range is a half-open range of slots.
type Range struct{ From, To uint32 }

// Slots are the slots of an epoch that somebody may see, ascending.
type Slots []Range

// AllSlots is every slot of an epoch.
func AllSlots() Slots { return Slots{{0, part.Slots}} }

// Has reports whether slot is one of them.
func (s Slots) Has(slot uint32) bool { return s.Meet(slot, slot) }

// Meet reports whether any slot from first to last is one of them.
func (s Slots) Meet(first, last uint32) bool {
	for _, r := range s {
		if r.From <= last && first < r.To {
			return true
		}
	}
	return false
}

// Cover reports whether every slot from first to last is one of them.
func (s Slots) Cover(first, last uint32) bool {
	for _, r := range s {
		if r.From <= first && last < r.To {
			return true
		}
	}
	return false
}

// limit makes the viewer see only what he may.
func (s *sub) limit(a Access) {
	if a.See != nil {
		s.sight = map[latchkey.EpochID]Slots{}
	}
}

// sees reports whether the viewer may have p; not known: nobody has been asked
// about its epoch yet. A viewer whose rights have no epochs sees everything.
func (s *sub) sees(p *shared) (may, known bool) {
	if s.sight == nil {
		return true, true
	}
	slots, known := s.sight[p.epoch]
	if !known {
		s.asked, s.ask = true, p.epoch
	}
	return slots.Has(p.slot), known
}

// leaveUnseen goes past a part that is not the viewer's to see: to him it is
// not there. What follows it has to be decodable by itself.
func (s *sub) leaveUnseen() {
	s.leaveOut()
	s.next++
}

// learn asks what the viewer may see of the epochs that parts have come of, and
// reports whether there was anything to ask. It holds no lock while it asks.
func (v *viewer) learn(ctx context.Context) bool {
	v.mu.Lock()
	var subs []*sub
	for _, s := range v.order {
		if s.asked {
			subs = append(subs, s)
		}
	}
	reviews := v.reviews
	v.mu.Unlock()
	for _, s := range subs {
		slots := v.access.See(ctx, s.t.id, s.ask)
		v.mu.Lock()
		if s.asked = false; v.reviews == reviews { // else it is asked again
			if len(s.sight) >= maxTold {
				clear(s.sight)
			}
			s.sight[s.ask] = slots
		}
		v.mu.Unlock()
	}
	return len(subs) > 0
}

// Review asks again, at once, what the viewers of a household may see: rights
// have changed. Tracks that they may see no longer end before it returns.
func (r *Relay) Review(ctx context.Context, h latchkey.HouseholdID) {
	r.mu.Lock()
	var all []*viewer
	if home := r.homes[h]; home != nil {
		for v := range home.viewers {
			all = append(all, v)
		}
	}
	r.mu.Unlock()
	for _, v := range all {
		v.review(ctx)
	}
}

func (v *viewer) review(ctx context.Context) {
	v.mu.Lock()
	v.reviews++
	var watched []latchkey.TrackID
	for _, s := range v.order {
		watched = append(watched, s.t.id)
		if s.sight != nil {
			clear(s.sight)
		}
	}
	v.mu.Unlock()
	for _, id := range watched {
		if v.access.May(ctx, id) {
			continue
		}
		v.mu.Lock()
		v.unwatch(id)
		v.mu.Unlock()
		v.tell(textFrame(trackMessage{Op: "error", Track: id.String(), Why: notYours}))
	}
	v.wakeUp()
}
