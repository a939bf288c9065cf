package main

import (
	"image/color"
	"math"
)

// figure is one drawn person: colours, phase of the walk (0 = standing), how
// far the back is bent (0…1), and what is carried.
type figure struct {
	coat, trousers, hair, skin color.RGBA
	stride, lean, carry        float64
	cap, left                  bool
}

// person draws a figure whose feet stand at (x, y), about 300 units tall at size 1.
func person(c *canvas, x, y, size float64, f figure) {
	dir := 1.0
	if f.left {
		dir = -1
	}
	at := func(px, py float64) point { return point{x + dir*px*size, y + py*size} }
	swing := math.Sin(f.stride * math.Pi)
	if f.stride == 0 {
		swing = 0
	}
	bob := -4 * math.Abs(swing)
	hip := at(0, -130+bob+30*f.lean)
	neck := at(8+78*f.lean, -232+bob+78*f.lean)
	c.ellipse(withAlpha(color.RGBA{0, 0, 0, 255}, 0.22), x, y+4, 62*size, 10*size)
	for _, s := range []float64{-1, 1} {
		foot := at(s*swing*52, -4-14*math.Max(0, -s*swing))
		knee := point{(hip.x+foot.x)/2 + dir*10*size, (hip.y+foot.y)/2 + 6*f.lean}
		col := shade(f.trousers, 0.08*s)
		c.limb(col, hip, knee, 30*size)
		c.limb(col, knee, foot, 26*size)
		c.limb(rgb(0x22201e), foot, point{foot.x + dir*20*size, foot.y + 2*size}, 16*size)
	}
	c.limb(shade(f.coat, -0.1), neck, point{neck.x - dir*swing*36*size, neck.y + 92*size}, 22*size)
	c.limb(f.coat, hip, point{neck.x, neck.y + 16*size}, 62*size)
	hand := point{neck.x + dir*(swing*36+18)*size, neck.y + 88*size}
	if f.carry > 0 {
		hand = point{neck.x + dir*66*size, neck.y + 82*size + 60*f.lean*size}
		parcel(c, hand.x, hand.y+26*size, size)
	} else if f.lean > 0 {
		hand = point{neck.x + dir*40*size, neck.y + 130*size}
	}
	c.limb(f.coat, point{neck.x, neck.y + 18*size}, hand, 22*size)
	c.ellipse(f.skin, hand.x, hand.y, 11*size, 11*size)
	head := point{neck.x + dir*6*size, neck.y - 30*size}
	c.ellipse(f.skin, head.x, head.y, 25*size, 30*size)
	c.ellipse(f.hair, head.x-dir*5*size, head.y-12*size, 26*size, 20*size)
	c.ellipse(f.skin, head.x+dir*8*size, head.y+2*size, 18*size, 21*size)
	if f.cap {
		c.ellipse(f.coat, head.x-dir*2*size, head.y-16*size, 27*size, 16*size)
		c.limb(f.coat, point{head.x + dir*8*size, head.y - 11*size}, point{head.x + dir*36*size, head.y - 9*size}, 8*size)
	}
}
