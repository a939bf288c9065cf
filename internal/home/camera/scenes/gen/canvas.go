package main

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// canvas draws anti-aliased shapes in scene units: the picture is 1280×720
// units whatever its size in pixels.
type canvas struct {
	img   *image.RGBA
	scale float64
	ras   *vector.Rasterizer
}

const sceneW, sceneH = 1280, 720

func newCanvas(width, height int) *canvas {
	return &canvas{
		img:   image.NewRGBA(image.Rect(0, 0, width, height)),
		scale: float64(width) / sceneW,
		ras:   vector.NewRasterizer(width, height),
	}
}

type point struct{ x, y float64 }

func rgb(hex uint32) color.RGBA {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// shade moves c towards black (by < 0) or white (by > 0).
func shade(c color.RGBA, by float64) color.RGBA {
	mix := func(v uint8) uint8 {
		if by < 0 {
			return uint8(float64(v) * (1 + by))
		}
		return uint8(float64(v) + (255-float64(v))*by)
	}
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), c.A}
}

func withAlpha(c color.RGBA, a float64) color.RGBA {
	f := func(v uint8) uint8 { return uint8(float64(v) * a) }
	return color.RGBA{f(c.R), f(c.G), f(c.B), uint8(255 * a)}
}

// poly fills a polygon. Only the shape's bounding box is rasterised: most
// shapes are small, and a frame has a hundred of them.
func (c *canvas) poly(col color.RGBA, pts ...point) {
	lo, hi := pts[0], pts[0]
	for _, p := range pts {
		lo = point{math.Min(lo.x, p.x), math.Min(lo.y, p.y)}
		hi = point{math.Max(hi.x, p.x), math.Max(hi.y, p.y)}
	}
	box := image.Rect(int(math.Floor(lo.x*c.scale)), int(math.Floor(lo.y*c.scale)),
		int(math.Ceil(hi.x*c.scale))+1, int(math.Ceil(hi.y*c.scale))+1).Intersect(c.img.Rect)
	if box.Empty() {
		return
	}
	c.ras.Reset(box.Dx(), box.Dy())
	for i, p := range pts {
		x, y := float32(p.x*c.scale)-float32(box.Min.X), float32(p.y*c.scale)-float32(box.Min.Y)
		if i == 0 {
			c.ras.MoveTo(x, y)
		} else {
			c.ras.LineTo(x, y)
		}
	}
	c.ras.ClosePath()
	c.ras.DrawOp = draw.Over
	c.ras.Draw(c.img, box, image.NewUniform(col), image.Point{})
}

func (c *canvas) rect(col color.RGBA, x, y, w, h float64) {
	c.poly(col, point{x, y}, point{x + w, y}, point{x + w, y + h}, point{x, y + h})
}

func (c *canvas) ellipse(col color.RGBA, cx, cy, rx, ry float64) {
	const n = 40
	pts := make([]point, n)
	for i := range pts {
		a := 2 * math.Pi * float64(i) / n
		pts[i] = point{cx + rx*math.Cos(a), cy + ry*math.Sin(a)}
	}
	c.poly(col, pts...)
}

// limb is a line with round ends.
func (c *canvas) limb(col color.RGBA, a, b point, width float64) {
	dx, dy := b.x-a.x, b.y-a.y
	l := math.Hypot(dx, dy)
	if l == 0 {
		return
	}
	nx, ny := -dy/l*width/2, dx/l*width/2
	c.poly(col, point{a.x + nx, a.y + ny}, point{b.x + nx, b.y + ny}, point{b.x - nx, b.y - ny}, point{a.x - nx, a.y - ny})
	c.ellipse(col, a.x, a.y, width/2, width/2)
	c.ellipse(col, b.x, b.y, width/2, width/2)
}

// gradient fills a band from top to bottom in steps the encoder likes.
func (c *canvas) gradient(top, bottom color.RGBA, y, h float64) {
	const steps = 24
	for i := range steps {
		f := float64(i) / (steps - 1)
		mix := func(a, b uint8) uint8 { return uint8(float64(a) + (float64(b)-float64(a))*f) }
		col := color.RGBA{mix(top.R, bottom.R), mix(top.G, bottom.G), mix(top.B, bottom.B), 255}
		c.rect(col, 0, y+h*float64(i)/steps, sceneW, h/steps+1)
	}
}

// ease goes smoothly from 0 to 1 while t goes from a to b.
func ease(t, a, b float64) float64 {
	if t <= a {
		return 0
	}
	if t >= b {
		return 1
	}
	f := (t - a) / (b - a)
	return f * f * (3 - 2*f)
}

func lerp(a, b, f float64) float64 { return a + (b-a)*f }
