package main

import (
	"image/color"
	"math"
)

// drivewayScene: 24 s at dusk. A car turns in from the right, parks, its
// lights go out; later it leaves the way it came.
func drivewayScene(c *canvas, t float64) {
	c.gradient(rgb(0x2b3553), rgb(0x7d6a7a), 0, 330)
	for i := range 14 {
		x, y := math.Mod(float64(i)*197+63, 1280), math.Mod(float64(i)*71+17, 170)
		c.ellipse(shade(rgb(0x9aa6c4), 0.3*math.Sin(t*math.Pi/4+float64(i))), x, y, 2, 2)
	}
	c.gradient(rgb(0x36493c), rgb(0x2b3a30), 330, 390)
	c.poly(rgb(0x4c4e54), point{300, 420}, point{760, 420}, point{1300, 600}, point{1300, 730}, point{120, 730})
	c.poly(rgb(0x55575e), point{330, 432}, point{740, 432}, point{900, 486}, point{250, 486})
	garage(c)
	for i := range 9 {
		x := 20 + float64(i)*34
		c.ellipse(rgb(0x2c4a33), x, 432+6*math.Sin(float64(i)*2.1), 34, 40+2*math.Sin(t*math.Pi/4+float64(i)))
	}
	streetLamp(c, t)
	cat(c, t)
	in, out := ease(t, 3, 8), ease(t, 15.5, 20.5)
	if t > 2.9 && t < 20.6 {
		f := in - out
		x, y, s := lerp(1560, 560, f), lerp(668, 560, f), lerp(1.35, 0.92, f)
		lights := 1 - ease(t, 9, 9.3) + ease(t, 14.2, 14.5)
		wheel := -(in*1000 - out*1000) / 46
		car(c, x, y, s, math.Max(0, math.Min(1, lights)), wheel, t > 14.5)
	}
}

func garage(c *canvas) {
	c.rect(rgb(0x6f6459), 290, 130, 500, 300)
	c.poly(rgb(0x3d3431), point{260, 138}, point{540, 20}, point{820, 138})
	c.rect(rgb(0x8c8378), 340, 190, 400, 240)
	for y := 196.0; y < 424; y += 40 {
		c.rect(rgb(0x7b7267), 346, y, 388, 34)
	}
	c.rect(rgb(0x524a44), 820, 210, 260, 220)
	c.rect(rgb(0xf2cf86), 880, 250, 110, 90)
	c.rect(rgb(0x524a44), 931, 250, 8, 90)
}

func streetLamp(c *canvas, t float64) {
	c.limb(rgb(0x23262b), point{1160, 440}, point{1160, 120}, 10)
	c.limb(rgb(0x23262b), point{1160, 122}, point{1108, 112}, 8)
	c.ellipse(rgb(0xfbe3a4), 1100, 118, 16, 9)
	c.poly(withAlpha(rgb(0xfbe3a4), 0.10+0.01*math.Sin(t*math.Pi/2)), point{1092, 122}, point{1110, 122}, point{1250, 470}, point{940, 470})
}

// cat crosses the drive while the car is parked.
func cat(c *canvas, t float64) {
	if t < 10 || t > 14 {
		return
	}
	x, y := lerp(240, 1340, (t-10)/4), 668.0
	body, p := rgb(0x1b1a1c), t*14
	for i, off := range []float64{-30, -18, 18, 30} {
		c.limb(body, point{x + off, y - 26}, point{x + off + 10*math.Sin(p+float64(i)*1.7), y}, 8)
	}
	c.ellipse(body, x, y-34, 44, 16)
	c.ellipse(body, x+48, y-46, 17, 15)
	c.poly(body, point{x + 38, y - 54}, point{x + 42, y - 72}, point{x + 50, y - 58})
	c.poly(body, point{x + 50, y - 58}, point{x + 58, y - 71}, point{x + 62, y - 54})
	c.limb(body, point{x - 42, y - 38}, point{x - 78, y - 62 + 5*math.Sin(p/3)}, 8)
	c.ellipse(rgb(0xd7e86a), x+55, y-48, 3, 3)
}

func car(c *canvas, x, y, s, lights, wheel float64, reversing bool) {
	at := func(px, py float64) point { return point{x + px*s, y + py*s} }
	body := rgb(0xa33a32)
	c.ellipse(withAlpha(color.RGBA{0, 0, 0, 255}, 0.35), x, y+4*s, 250*s, 18*s)
	if lights > 0.02 {
		c.poly(withAlpha(rgb(0xfff0b8), 0.22*lights), at(-232, -70), at(-232, -52), at(-560, 20), at(-560, -120))
	}
	c.poly(body, at(-240, -30), at(-236, -80), at(-150, -98), at(-90, -158), at(80, -162), at(160, -104), at(232, -92), at(242, -30))
	c.poly(rgb(0x1d2836), at(-130, -100), at(-80, -148), at(-8, -150), at(-8, -100))
	c.poly(rgb(0x1d2836), at(6, -100), at(6, -150), at(72, -152), at(132, -104))
	c.rect(shade(body, -0.25), x-240*s, y-44*s, 482*s, 16*s)
	c.rect(shade(body, -0.2), x-2*s, y-100*s, 3*s, 62*s)
	for _, wx := range []float64{-150, 150} {
		c.ellipse(rgb(0x17181a), x+wx*s, y-24*s, 46*s, 46*s)
		c.ellipse(rgb(0x8d9198), x+wx*s, y-24*s, 26*s, 26*s)
		for k := range 5 {
			a := wheel + float64(k)*2*math.Pi/5
			c.limb(rgb(0x5a5e66), at(wx, -24), at(wx+22*math.Cos(a), -24+22*math.Sin(a)), 6*s)
		}
	}
	c.ellipse(shade(rgb(0xcbbf8e), lights*0.7), x-230*s, y-66*s, 12*s, 15*s)
	tail := rgb(0x7a1512)
	if lights > 0.02 {
		tail = rgb(0xf0332a)
	}
	c.rect(tail, x+224*s, y-82*s, 14*s, 22*s)
	if reversing && lights > 0.02 {
		c.rect(rgb(0xf4f4f0), x+224*s, y-60*s, 14*s, 10*s)
	}
}
