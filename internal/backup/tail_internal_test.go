package backup

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/queue"
)

func tailOf(frames ...queue.Raw) []byte {
	b := []byte(tailMagic)
	for _, r := range frames {
		b = appendFrame(b, r)
	}
	return b
}

func sample() []queue.Raw {
	return []queue.Raw{
		{Sequence: 7, Payload: []byte("seven")},
		{Sequence: 9, Counts: []queue.Count{{App: "shop", Received: 3, Rejected: 1}, {App: "blog", Received: 1}}, Payload: []byte("nine")},
		{Sequence: 10, Counts: []queue.Count{{App: "shop", Received: 1}}, Payload: []byte{}},
	}
}

func readTail(b []byte) (frames []queue.Raw, err error) {
	t := newTailReader(bytes.NewReader(b))
	for {
		r, err := t.next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, r)
	}
}

func TestTailComesBack(t *testing.T) {
	got, err := readTail(tailOf(sample()...))
	if diff := cmp.Diff(sample(), got); !errors.Is(err, io.EOF) || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	s := sample()
	s[0], s[1] = s[1], s[0]
	if _, err := readTail(tailOf(s...)); !errors.Is(err, errTail) {
		t.Errorf("sequences that do not ascend: %v", err)
	}
}

func TestTailIsReadUpToItsDamage(t *testing.T) {
	whole := tailOf(sample()...)
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		if got, err := readTail(damaged); !errors.Is(err, errTail) {
			t.Errorf("byte %d flipped: %d frames, %v", i, len(got), err)
		}
	}
}

func FuzzTail(f *testing.F) {
	f.Add(tailOf(sample()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readTail(b)
		if errors.Is(err, io.EOF) {
			if again, err := readTail(tailOf(got...)); !errors.Is(err, io.EOF) || !cmp.Equal(got, again) {
				t.Errorf("read differently again: %v", err)
			}
		}
	})
}
