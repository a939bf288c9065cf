package insider

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
)

const (
	crockford  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength = 32
	codeRandom = 18
)

// findCodes calls f for every typed code in data: 32 Crockford digits in groups
// of four with dashes, or after "LK1:", whose check digits hold. One of 65,536
// such strings holds by chance. It passes the recovery secret of the code too.
func findCodes(data []byte, f func(at int, recovery key)) {
	each(data, "-", func(at int) {
		if at < 4 || at >= 5 && isCodeByte(data[at-5]) || at >= 5 && data[at-5] == '-' {
			return // not the first group
		}
		end := at - 4 + codeLength + 7
		if end > len(data) {
			return
		}
		groups := bytes.Split(data[at-4:end], []byte("-"))
		if len(groups) == 8 {
			tryCode(at-4, bytes.Join(groups, nil), f)
		}
	})
	each(data, "LK1:", func(at int) {
		if len(data) >= at+4+codeLength {
			tryCode(at, data[at+4:at+4+codeLength], f)
		}
	})
}

func isCodeByte(b byte) bool { return bytes.IndexByte([]byte(crockford), upper(b)) >= 0 }

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}

func tryCode(at int, digits []byte, f func(at int, recovery key)) {
	if len(digits) != codeLength {
		return
	}
	var raw [codeLength * 5 / 8]byte
	for i, d := range digits {
		v := bytes.IndexByte([]byte(crockford), upper(d))
		if v < 0 {
			return
		}
		for bit := range 5 {
			if v>>(4-bit)&1 == 1 {
				raw[(5*i+bit)/8] |= 0x80 >> ((5*i + bit) % 8)
			}
		}
	}
	check := sha256.Sum256(append([]byte("latchkey/v1 code\x00"), raw[:codeRandom]...))
	if !bytes.Equal(check[:2], raw[codeRandom:]) {
		return
	}
	m := hmac.New(sha256.New, []byte("latchkey/v1 recovery"))
	m.Write(raw[:codeRandom])
	f(at, key(m.Sum(nil)))
}
