package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

const sampleRate = 32000

// pcm renders seconds of mono 16-bit sound, little-endian, from a mixing
// function; noise is seeded, so that every run makes the same bytes.
func pcm(seconds float64, mix func(t float64, noise func() float64) float64) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	n := int(seconds * sampleRate)
	out := make([]byte, 0, 2*n)
	for i := range n {
		v := mix(float64(i)/sampleRate, func() float64 { return r.Float64()*2 - 1 })
		v = math.Max(-1, math.Min(1, v))
		out = binary.LittleEndian.AppendUint16(out, uint16(int16(v*32000)))
	}
	return out
}

func porchSound() func(t float64, noise func() float64) float64 {
	var wind float64
	return func(t float64, noise func() float64) float64 {
		wind += (noise() - wind) * 0.02
		v := wind * (0.5 + 0.2*math.Sin(t*math.Pi/4))
		if (t > 3 && t < 8.5) || (t > 11 && t < 16.5) { // steps
			phase := math.Mod(t*2.1, 1)
			v += noise() * 0.25 * math.Exp(-phase*28)
		}
		v += knock(t, 10.0) + knock(t, 10.25) + knock(t, 18.5)
		if chirp := math.Mod(t, 6); chirp > 1 && chirp < 1.35 { // a bird
			v += 0.08 * math.Sin(2*math.Pi*(3200+900*math.Sin(chirp*70))*t)
		}
		return v
	}
}

func knock(t, at float64) float64 {
	if t < at || t > at+0.3 {
		return 0
	}
	return 0.5 * math.Exp(-(t-at)*30) * math.Sin(2*math.Pi*140*(t-at))
}

func drivewaySound() func(t float64, noise func() float64) float64 {
	var rumble float64
	return func(t float64, noise func() float64) float64 {
		rumble += (noise() - rumble) * 0.05
		engine := ease(t, 2.5, 4)*(1-ease(t, 9, 9.4)) + ease(t, 14.2, 14.6)*(1-ease(t, 20, 21.5))
		speed := 42 + 30*(ease(t, 2.5, 4)-ease(t, 6, 8)+ease(t, 15.5, 17)-ease(t, 20, 22))
		v := engine * (0.22*math.Sin(2*math.Pi*speed*t) + 0.12*math.Sin(4*math.Pi*speed*t) + 0.3*rumble)
		cricket := math.Mod(t, 1.5)
		if cricket < 0.4 {
			v += 0.03 * math.Sin(2*math.Pi*4300*t) * math.Abs(math.Sin(cricket*90))
		}
		return v + rumble*0.06
	}
}
