package fixes

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
)

const (
	wordingRare   = 2       // words in fewer reports teach nothing
	wordingTimes  = 2       // so much more a report without a fault counts: there is no end of them, and here are few
	wordingTold   = 1       // and what the table of causes tells
	wordingKept   = 600_000 // weights, those that change most
	wordingRounds = 200     // through all reports at the most
	wordingLittle = 0.1     // a step that is not worth it
)

// lesson is a report as the weights learn it.
type lesson struct {
	class int
	words []int32 // sorted
	value []float64
	cost  float64 // of being wrong about it
}

// learn finds the weights that tell reports of each class from all others: a linear support vector machine of each, as liblinear
// learns it (Hsieh et al., A Dual Coordinate Descent Method for Large-scale Linear SVM, 2008). It only adds, multiplies, divides
// and takes roots, in one order and never in one step (float64(a*b)), so that every machine learns the same.
func learn(reports []heard) string {
	reports = slices.Clone(reports)
	slices.SortStableFunc(reports, func(a, b heard) int { return cmp.Compare(a.sum(), b.sum()) })
	in, known := map[string]int{}, map[ID]bool{}
	own := make([][]string, len(reports))
	for i, h := range reports {
		known[h.class] = true
		own[i] = slices.Compact(slices.Sorted(slices.Values(h.all)))
		for _, word := range own[i] {
			in[word]++
		}
	}
	maps.DeleteFunc(in, func(_ string, n int) bool { return n < wordingRare })
	words := slices.Sorted(maps.Keys(in))
	number := make(map[string]int32, len(words))
	rare := make([]float64, len(words))
	for i, word := range words {
		number[word], rare[i] = int32(i), rarity(in[word], len(reports))
	}
	classes := slices.Sorted(maps.Keys(known))
	lessons := make([]lesson, len(reports))
	for i, h := range reports {
		l := lesson{class: slices.Index(classes, h.class), cost: 1}
		switch {
		case h.told:
			l.cost = wordingTold
		case h.faultless():
			l.cost = wordingTimes
		}
		length := 0.0
		for _, word := range own[i] {
			if n, ok := number[word]; ok {
				l.words, l.value = append(l.words, n), append(l.value, rare[n])
				length += float64(rare[n] * rare[n])
			}
		}
		for k := range l.value {
			l.value[k] /= math.Sqrt(length)
		}
		lessons[i] = l
	}
	weights := make([][]float64, len(classes))
	var classesLeft sync.WaitGroup
	free := make(chan bool, runtime.GOMAXPROCS(0))
	for c := range classes {
		classesLeft.Go(func() {
			free <- true
			weights[c] = tell(lessons, c, len(words))
			<-free
		})
	}
	classesLeft.Wait()
	return writeWording(classes, words, in, rare, weights, len(reports))
}

// tell finds the weights of one class, and behind them its bias.
func tell(lessons []lesson, class, words int) []float64 {
	w := make([]float64, words+1)
	alpha := make([]float64, len(lessons))
	active := make([]int, len(lessons))
	for i := range active {
		active[i] = i
	}
	order := rand.New(rand.NewPCG(1, uint64(class)))
	limit := math.Inf(1) // what is above it will hardly move any more
	for range wordingRounds {
		order.Shuffle(len(active), func(i, j int) { active[i], active[j] = active[j], active[i] })
		high, low := math.Inf(-1), math.Inf(1)
		left := active[:0]
		for _, i := range active {
			l := &lessons[i]
			side := -1.0
			if l.class == class {
				side = 1
			}
			slack := 0.5 / l.cost
			sum := w[words]
			for k, word := range l.words {
				sum += float64(w[word] * l.value[k])
			}
			gradient := float64(side*sum) - 1 + float64(alpha[i]*slack)
			if alpha[i] == 0 && gradient > limit {
				continue
			}
			left = append(left, i)
			projected := gradient
			if alpha[i] == 0 {
				projected = min(gradient, 0)
			}
			high, low = max(high, projected), min(low, projected)
			if math.Abs(projected) < 1e-12 {
				continue
			}
			before := alpha[i]
			squared := 2.0 // of the report, which is 1 long, and of the bias
			if len(l.words) == 0 {
				squared = 1
			}
			alpha[i] = max(before-gradient/(squared+slack), 0)
			step := (alpha[i] - before) * side
			w[words] += step
			for k, word := range l.words {
				w[word] += float64(step * l.value[k])
			}
		}
		if high-low <= wordingLittle {
			if len(left) == len(lessons) {
				break
			}
			active, limit = active[:len(lessons)], math.Inf(1)
			for i := range active {
				active[i] = i
			}
			continue
		}
		active = left
		if limit = high; limit <= 0 {
			limit = math.Inf(1)
		}
	}
	return w
}

// writeWording writes the table as parseWording reads it: of all weights those that change most, as small numbers.
func writeWording(classes []ID, words []string, in map[string]int, rare []float64, weights [][]float64, reports int) string {
	type one struct {
		word, class int
		changes     float64
	}
	var kept []one
	most := 0.0
	for i := range words {
		of := make([]float64, len(classes))
		for c := range classes {
			of[c] = weights[c][i]
		}
		usual := slices.Sorted(slices.Values(of))[len(classes)/2] // what all causes have in common tells none
		for c := range classes {
			weights[c][i] -= usual
			most = max(most, math.Abs(weights[c][i]))
			if changes := math.Abs(weights[c][i]) * rare[i] * math.Sqrt(float64(in[words[i]])); changes > 0 {
				kept = append(kept, one{i, c, changes})
			}
		}
	}
	slices.SortStableFunc(kept, func(a, b one) int { return cmp.Compare(b.changes, a.changes) })
	kept = kept[:min(wordingKept, len(kept))]
	slices.SortFunc(kept, func(a, b one) int { return cmp.Or(cmp.Compare(a.word, b.word), cmp.Compare(a.class, b.class)) })
	unit := most / 127
	var b strings.Builder
	fmt.Fprintf(&b, "# Learnt from testdata/corpus/dev and testdata/wording by go generate; DO NOT EDIT.\n%d %.6f\n", reports, unit)
	for c, id := range classes {
		fmt.Fprintf(&b, "%s %.0f\n", id, math.Round(weights[c][len(words)]/unit))
	}
	last := -1
	for _, k := range kept {
		weight := math.Round(weights[k.class][k.word] / unit)
		if weight == 0 {
			continue
		}
		if k.word != last {
			fmt.Fprintf(&b, "\n%s\t%d", words[k.word], in[words[k.word]])
			last = k.word
		}
		fmt.Fprintf(&b, " %d:%.0f", k.class, weight)
	}
	b.WriteString("\n")
	return b.String()
}
