package main

import "math"

// porchScene: 24 s by day. A courier comes from the left, sets a parcel down,
// leaves; a while later the door opens and the parcel is taken in.
func porchScene(c *canvas, t float64) {
	porchHouse(c, t)
	if t > 10 && t < 21.2 {
		parcel(c, lerp(0, 26, ease(t, 20, 21.2))+640, 560-lerp(0, 10, ease(t, 20, 21.2)), 1)
	}
	porchDoor(c, ease(t, 18.5, 19.5)-ease(t, 21.5, 22.5), t)
	courier(c, t)
	for i := range 3 { // leaves in the wind
		f := math.Mod(t/8+float64(i)/3, 1)
		x, y := lerp(-40, 1320, f), 180+80*math.Sin(f*9+float64(i)*2)+260*f
		c.ellipse(rgb(0x9a8a3c), x, y, 7, 4)
	}
}

func porchHouse(c *canvas, t float64) {
	c.gradient(rgb(0x9cc4e4), rgb(0xdcebf2), 0, 330)
	for i, x := range []float64{180, 560, 1010} { // clouds drift and come back after the loop
		cx := math.Mod(x+t/24*1400, 1400) - 60
		c.ellipse(rgb(0xf4f8fa), cx, 70+float64(i%2)*46, 70, 18)
		c.ellipse(rgb(0xf4f8fa), cx+46, 62+float64(i%2)*46, 48, 22)
	}
	c.gradient(rgb(0x7fa063), rgb(0x678a50), 330, 390)
	c.poly(rgb(0xb9b3a8), point{-10, 610}, point{540, 560}, point{860, 560}, point{1290, 640}, point{1290, 730}, point{-10, 730})
	c.rect(rgb(0xc9b79c), 420, 60, 700, 500)
	for y := 84.0; y < 560; y += 30 {
		c.rect(rgb(0xbfac90), 420, y, 700, 3)
	}
	c.poly(rgb(0x6d4b3e), point{380, 70}, point{770, -90}, point{1160, 70}, point{1160, 96}, point{380, 96})
	c.rect(rgb(0xe9e4d8), 850, 190, 190, 170)
	c.rect(rgb(0x4a6272), 862, 202, 166, 146)
	c.poly(withAlpha(rgb(0xcfe3ee), 0.35), point{862, 300}, point{980, 202}, point{1028, 202}, point{862, 348})
	c.rect(rgb(0xe9e4d8), 941, 202, 8, 146)
	c.rect(rgb(0xd6cfc2), 520, 560, 330, 26)
	c.rect(rgb(0xc4bcae), 490, 586, 390, 28)
	c.rect(rgb(0x7c5a3e), 560, 548, 170, 13)
	plant(c, 470, 560, math.Sin(t*math.Pi/4))
	plant(c, 1180, 600, math.Sin(t*math.Pi/4+1))
	c.rect(rgb(0x3c4043), 770, 250, 20, 34)
	c.ellipse(rgb(0xf7e7b4), 780, 288, 13, 15)
}

func plant(c *canvas, x, y, sway float64) {
	for i := -3; i <= 3; i++ {
		a := float64(i)*0.24 + sway*0.05
		c.limb(rgb(0x3f6b3a), point{x, y - 40}, point{x + math.Sin(a)*90, y - 40 - math.Cos(a)*78}, 13)
	}
	c.poly(rgb(0x9c5b3c), point{x - 34, y - 50}, point{x + 34, y - 50}, point{x + 26, y}, point{x - 26, y})
}

func porchDoor(c *canvas, open, t float64) {
	c.rect(rgb(0xf0ebe0), 556, 196, 178, 364)
	c.rect(rgb(0x2c2620), 570, 210, 150, 350)
	if open > 0.02 { // somebody inside reaches for the parcel
		lean := ease(t, 19.4, 20.2) - ease(t, 20.6, 21.4)
		person(c, 640, 552, 0.92, figure{coat: rgb(0x8a4f6b), trousers: rgb(0x3b3f58), hair: rgb(0x4b3325), skin: rgb(0xc98f6a), lean: lean * 0.5})
		c.rect(withAlpha(rgb(0xffd58a), 0.16), 570, 210, 150, 350)
	}
	w := lerp(150, 34, open)
	c.rect(shade(rgb(0x2f5d62), -0.15*open), 570, 210, w, 350)
	if w > 60 {
		c.rect(rgb(0x3b7178), 570+w*0.16, 240, w*0.68, 120)
		c.rect(rgb(0x3b7178), 570+w*0.16, 386, w*0.68, 140)
	}
	c.ellipse(rgb(0xe0c068), 570+w*0.88, 396, 7, 7)
}

func parcel(c *canvas, x, y, s float64) {
	c.rect(rgb(0xb98850), x-38*s, y-52*s, 76*s, 52*s)
	c.poly(rgb(0xcda068), point{x - 38*s, y - 52*s}, point{x - 24*s, y - 64*s}, point{x + 52*s, y - 64*s}, point{x + 38*s, y - 52*s})
	c.poly(rgb(0x9a6f3e), point{x + 38*s, y - 52*s}, point{x + 52*s, y - 64*s}, point{x + 52*s, y - 12*s}, point{x + 38*s, y})
	c.rect(rgb(0xe4d3b2), x-7*s, y-52*s, 14*s, 52*s)
}

func courier(c *canvas, t float64) {
	f := figure{coat: rgb(0x2456a4), trousers: rgb(0x2e3338), hair: rgb(0x1d1a18), skin: rgb(0x9b6a48), cap: true}
	switch {
	case t >= 3 && t < 8.5:
		x := lerp(-80, 560, ease(t, 3, 8.5))
		f.stride, f.carry = (t-3)*2.1, 1
		person(c, x, lerp(640, 582, ease(t, 5, 8.5)), 1, f)
	case t >= 8.5 && t < 11:
		f.lean = ease(t, 8.6, 9.6) - ease(t, 10.2, 11)
		if t < 10 {
			f.carry = 1
		}
		person(c, 560, 582, 1, f)
	case t >= 11 && t < 16.5:
		f.stride, f.left = (t-11)*2.1, true
		person(c, lerp(560, -90, ease(t, 11, 16.5)), lerp(582, 640, ease(t, 11, 14.5)), 1, f)
	}
}
