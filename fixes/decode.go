package fixes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
)

// decoded is r as UTF-8 (or what pretends to be it): gzip and zstd are unpacked, also within one another,
// and UTF-16, as Windows writes it, is recoded.
func decoded(r io.Reader) (io.Reader, error) {
	for range 3 {
		b := bufio.NewReaderSize(r, 64<<10)
		head, err := b.Peek(4096)
		if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
			return nil, err
		}
		switch {
		case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
			z, err := gzip.NewReader(b)
			if err != nil {
				return nil, fmt.Errorf("gzip: %w", err)
			}
			r = cutShort{z}
			continue
		case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
			z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
			if err != nil {
				return nil, fmt.Errorf("zstd: %w", err)
			}
			r = cutShort{z}
			continue
		}
		switch order := utf16Order(head); order {
		case 'l':
			return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(b), nil
		case 'b':
			return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Reader(b), nil
		}
		return b, nil
	}
	return r, nil
}

// utf16Order tells by byte order mark, or by where the zeros are, if text is UTF-16: 'l', 'b' or 0.
func utf16Order(head []byte) byte {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return 'l'
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return 'b'
	}
	var even, odd int
	for i, c := range head {
		if c == 0 {
			if i%2 == 0 {
				even++
			} else {
				odd++
			}
		}
	}
	half := len(head) / 2
	switch {
	case half >= 4 && odd > half*3/4 && even < half/8:
		return 'l'
	case half >= 4 && even > half*3/4 && odd < half/8:
		return 'b'
	}
	return 0
}

// cutShort reads a compressed text whose end is missing as one that ends there.
type cutShort struct{ io.Reader }

func (c cutShort) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
