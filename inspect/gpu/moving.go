package gpu

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Moving is a set of figures that move, for views that look every second and show some of them. Each costs a
// question to the driver, and some of them 20 ms of its time: what is not shown is not asked for.
type Moving uint32

// The figures that can be asked for alone. The processes always come along.
const (
	MovingUtilization Moving = 1 << iota // of the GPU and of its memory's bus
	MovingMemory
	MovingBAR1
	MovingTemperature
	MovingMemoryTemperature
	MovingPower
	MovingFan
	MovingEncoder
	MovingDecoder
	MovingJPEG
	MovingOFA
	MovingSMClock
	MovingMemoryClock
	MovingPowerViolation
	MovingThermalViolation
	MovingCorrectedErrors
	MovingUncorrectedErrors
	MovingReplays
	MovingReceived
	MovingSent
	MovingPerformanceState
	MovingThrottling
	allMoving Moving = 1<<iota - 1
)

// figuresWord starts a request for figures that move, and the line that answers it.
const figuresWord = "figures"

// Request is the line that asks the child for the figures alone. It answers with a line that an [Unpacker]
// reads, or, where something else is another one too, with a whole [Answer].
func (m Moving) Request() string { return figuresWord + " " + strconv.FormatUint(uint64(m), 10) }

// measured tells if what goes over the links is asked for.
func (m Moving) measured() bool { return m == 0 || m&(MovingReceived|MovingSent) != 0 }

// measured tells if a request asks for what goes over the links.
func (r request) measured() bool { return !r.brief && r.shown.measured() }

func figuresAsked(line string) (Moving, bool) {
	digits, ok := strings.CutPrefix(line, figuresWord+" ")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return Moving(n) & allMoving, err == nil
}

// A figureWord writes a figure of a GPU as a word, and takes it from one. A figure that is not known is "-".
type figureWord struct {
	of    Moving
	write func([]byte, *GPU) []byte
	read  func(*GPU, string) error
}

const unknownWord = "-"

func wordOf[T any](of Moving, at func(*GPU) **T, write func([]byte, T) []byte, read func(string) (T, error)) figureWord {
	return figureWord{of,
		func(b []byte, g *GPU) []byte {
			v := *at(g)
			if v == nil {
				return append(b, unknownWord...)
			}
			return write(b, *v)
		},
		func(g *GPU, word string) error {
			to := at(g)
			*to = nil
			if word == unknownWord {
				return nil
			}
			v, err := read(word)
			*to = &v
			return err
		}}
}

func whole[T int | uint32 | uint64](of Moving, at func(*GPU) **T) figureWord {
	return wordOf(of, at, writeWhole[T], readWhole[T])
}

// Numbers beyond 63 bits go over as negative ones, and become what they were.
func writeWhole[T int | uint32 | uint64](b []byte, v T) []byte {
	return strconv.AppendInt(b, int64(v), 10)
}

func readWhole[T int | uint32 | uint64](word string) (T, error) {
	v, err := strconv.ParseInt(word, 10, 64)
	return T(v), err
}

func decimal(of Moving, at func(*GPU) **float64) figureWord {
	return wordOf(of, at, func(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) },
		func(word string) (float64, error) { return strconv.ParseFloat(word, 64) })
}

// figureWords are in the order in which they stand in a line.
var figureWords = []figureWord{
	whole(MovingUtilization, func(g *GPU) **uint32 { return &g.GPUUtilPercent }),
	whole(MovingUtilization, func(g *GPU) **uint32 { return &g.MemoryUtilPercent }),
	whole(MovingMemory, func(g *GPU) **uint64 { return &g.MemoryTotalBytes }),
	whole(MovingMemory, func(g *GPU) **uint64 { return &g.MemoryUsedBytes }),
	whole(MovingMemory, func(g *GPU) **uint64 { return &g.MemoryFreeBytes }),
	whole(MovingMemory, func(g *GPU) **uint64 { return &g.MemoryReservedBytes }),
	whole(MovingBAR1, func(g *GPU) **uint64 { return &g.BAR1TotalBytes }),
	whole(MovingBAR1, func(g *GPU) **uint64 { return &g.BAR1UsedBytes }),
	whole(MovingTemperature, func(g *GPU) **int { return &g.TemperatureCelsius }),
	whole(MovingMemoryTemperature, func(g *GPU) **int { return &g.MemoryTemperatureCelsius }),
	decimal(MovingPower, func(g *GPU) **float64 { return &g.PowerWatts }),
	whole(MovingFan, func(g *GPU) **uint32 { return &g.FanPercent }),
	whole(MovingEncoder, func(g *GPU) **uint32 { return &g.EncoderUtilPercent }),
	whole(MovingDecoder, func(g *GPU) **uint32 { return &g.DecoderUtilPercent }),
	whole(MovingJPEG, func(g *GPU) **uint32 { return &g.JPEGUtilPercent }),
	whole(MovingOFA, func(g *GPU) **uint32 { return &g.OFAUtilPercent }),
	whole(MovingSMClock, func(g *GPU) **uint32 { return &g.SMClockMHz }),
	whole(MovingMemoryClock, func(g *GPU) **uint32 { return &g.MemoryClockMHz }),
	decimal(MovingPowerViolation, func(g *GPU) **float64 { return &g.PowerViolationSeconds }),
	decimal(MovingThermalViolation, func(g *GPU) **float64 { return &g.ThermalViolationSeconds }),
	whole(MovingCorrectedErrors, func(g *GPU) **uint64 { return &eccOf(g).CorrectedVolatile }),
	whole(MovingUncorrectedErrors, func(g *GPU) **uint64 { return &eccOf(g).UncorrectedVolatile }),
	whole(MovingReplays, func(g *GPU) **uint32 { return &linkOf(g).ReplayCount }),
	whole(MovingReceived, func(g *GPU) **uint64 { return &linkOf(g).RxBytesPerSecond }),
	whole(MovingSent, func(g *GPU) **uint64 { return &linkOf(g).TxBytesPerSecond }),
	{MovingPerformanceState,
		func(b []byte, g *GPU) []byte {
			if g.PerformanceState == "" {
				return append(b, unknownWord...)
			}
			return append(b, g.PerformanceState...)
		},
		func(g *GPU, word string) error {
			if g.PerformanceState = ""; word != unknownWord {
				g.PerformanceState = word
			}
			return nil
		}},
	{MovingThrottling,
		func(b []byte, g *GPU) []byte {
			if g.ThrottleReasons == nil {
				return append(b, unknownWord...)
			}
			b = append(b, ':')
			return append(b, strings.Join(g.ThrottleReasons, ",")...)
		},
		func(g *GPU, word string) error {
			if g.ThrottleReasons = nil; word == unknownWord {
				return nil
			}
			g.ThrottleReasons = []string{}
			if word != ":" {
				g.ThrottleReasons = strings.Split(strings.TrimPrefix(word, ":"), ",")
			}
			return nil
		}},
}

func eccOf(g *GPU) *ECC {
	if g.ECC == nil {
		g.ECC = &ECC{}
	}
	return g.ECC
}

func linkOf(g *GPU) *PCIe {
	if g.PCIe == nil {
		g.PCIe = &PCIe{}
	}
	return g.PCIe
}

// pack writes the figures of the GPUs, and their processes, as a line.
func (m Moving) pack(b []byte, gpus []GPU) []byte {
	b = append(b, m.Request()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(gpus)), 10)
	for i := range gpus {
		g := &gpus[i]
		for _, f := range figureWords {
			if m&f.of != 0 {
				b = f.write(append(b, ' '), g)
			}
		}
		b = packProcesses(append(b, ' '), g.Processes)
	}
	return append(b, '\n')
}

// The letters of what a process is on a GPU for are its kinds' first.
func packProcesses(b []byte, processes []GPUProcess) []byte {
	if processes == nil {
		return append(b, unknownWord...)
	}
	b = strconv.AppendInt(b, int64(len(processes)), 10)
	for i := range processes {
		p := &processes[i]
		b = strconv.AppendInt(append(b, ' '), int64(p.PID), 10)
		b = append(b, ' ')
		for _, kind := range p.Kinds {
			b = append(b, kind[0])
		}
		b = appendKnown(b, p.MemoryUsedBytes)
		b = appendKnown(b, p.GPUUtilPercent)
		b = appendKnown(b, p.MemoryUtilPercent)
		b = appendKnown(b, p.EncoderUtilPercent)
		b = appendKnown(b, p.DecoderUtilPercent)
	}
	return b
}

func appendKnown[T uint32 | uint64](b []byte, v *T) []byte {
	if b = append(b, ' '); v == nil {
		return append(b, unknownWord...)
	}
	return writeWhole(b, *v)
}

// An Unpacker reads lines of figures, on top of the last whole answer.
type Unpacker struct{ still *Answer }

// Keep takes an answer for what stands still until the next.
func (u *Unpacker) Keep(a *Answer) {
	still := *a
	still.GPUs = make([]GPU, len(a.GPUs))
	for i, g := range a.GPUs {
		still.GPUs[i] = g.still()
	}
	u.still = &still
}

// still is a GPU without what moves.
func (g GPU) still() GPU {
	for _, f := range figureWords {
		if f.of&(MovingCorrectedErrors|MovingUncorrectedErrors|MovingReplays|MovingReceived|MovingSent) == 0 {
			_ = f.read(&g, unknownWord) // which cannot fail
		}
	}
	if g.ECC != nil {
		g.ECC = ptr(*g.ECC)
		g.ECC.CorrectedVolatile, g.ECC.UncorrectedVolatile = nil, nil
	}
	if g.PCIe != nil {
		g.PCIe = ptr(*g.PCIe)
		g.PCIe.Generation, g.PCIe.Width, g.PCIe.ReplayCount, g.PCIe.TxBytesPerSecond, g.PCIe.RxBytesPerSecond = nil, nil, nil, nil, nil
	}
	g.EnergyJoules, g.GraphicsClockMHz, g.VideoClockMHz = nil, nil, nil
	g.SyncBoostViolationSeconds, g.BoardLimitViolationSeconds, g.LowUtilizationViolationSeconds, g.ReliabilityViolationSeconds = nil, nil, nil, nil
	g.Processes = nil
	return g
}

var errFigures = errors.New("figures not understood")

// Unpack reads a line of figures.
func (u *Unpacker) Unpack(line []byte) (*Answer, error) {
	w := &wordReader{rest: strings.TrimSuffix(string(line), "\n")}
	_ = w.next()
	asked, count := Moving(w.number()), w.number()
	if u.still == nil || w.failed || count != len(u.still.GPUs) {
		return nil, fmt.Errorf("%w: they are of %d GPUs", errFigures, count)
	}
	a := *u.still
	a.GPUs = make([]GPU, count)
	for i := range a.GPUs {
		g := &a.GPUs[i]
		*g = u.still.GPUs[i]
		if g.ECC != nil && asked&(MovingCorrectedErrors|MovingUncorrectedErrors) != 0 {
			g.ECC = ptr(*g.ECC)
		}
		if g.PCIe != nil && asked&(MovingReplays|MovingReceived|MovingSent) != 0 {
			g.PCIe = ptr(*g.PCIe)
		}
		for _, f := range figureWords {
			if asked&f.of != 0 && f.read(g, w.next()) != nil {
				return nil, errFigures
			}
		}
		if g.ECC != nil && *g.ECC == (ECC{}) {
			g.ECC = nil
		}
		if g.PCIe != nil && *g.PCIe == (PCIe{}) {
			g.PCIe = nil
		}
		g.Processes = w.processes()
		if w.failed {
			return nil, errFigures
		}
	}
	if w.rest != "" {
		return nil, errFigures
	}
	return &a, nil
}

// IsFigures tells a line of figures from a whole answer.
func IsFigures(line []byte) bool { return bytes.HasPrefix(line, []byte(figuresWord)) }

// A wordReader takes a line apart.
type wordReader struct {
	rest   string
	failed bool
}

func (w *wordReader) next() (word string) {
	word, w.rest, _ = strings.Cut(w.rest, " ")
	w.failed = w.failed || word == ""
	return word
}

func (w *wordReader) number() int {
	n, err := strconv.Atoi(w.next())
	w.failed = w.failed || err != nil
	return n
}

func known[T uint32 | uint64](w *wordReader) *T {
	word := w.next()
	if word == unknownWord {
		return nil
	}
	v, err := readWhole[T](word)
	w.failed = w.failed || err != nil
	return &v
}

// kindsByLetters are shared by all processes that have them.
var kindsByLetters = map[string][]string{
	"c": {"compute"}, "g": {"graphics"}, "m": {"mps"}, "cg": {"compute", "graphics"}, "cm": {"compute", "mps"}, "gm": {"graphics", "mps"}, "cgm": {"compute", "graphics", "mps"},
}

func (w *wordReader) processes() []GPUProcess {
	if rest, none := strings.CutPrefix(w.rest, unknownWord); none && (rest == "" || rest[0] == ' ') {
		w.next()
		return nil
	}
	count := w.number()
	if w.failed || count < 0 || count > len(w.rest) { // a process takes more than a letter
		w.failed = true
		return nil
	}
	all := make([]GPUProcess, 0, count)
	for range count {
		p := GPUProcess{PID: w.number()}
		kinds, ok := kindsByLetters[w.next()]
		p.Kinds, p.MemoryUsedBytes = kinds, known[uint64](w)
		p.GPUUtilPercent, p.MemoryUtilPercent = known[uint32](w), known[uint32](w)
		p.EncoderUtilPercent, p.DecoderUtilPercent = known[uint32](w), known[uint32](w)
		if w.failed = w.failed || !ok; w.failed {
			return nil
		}
		all = append(all, p)
	}
	return all
}
