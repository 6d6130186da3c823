package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/cli/cli"
	"github.com/spf13/pflag"

	"github.com/docker-gpu/docker-gpu/fixes"
)

// allowed are the harms that --allow takes.
var allowed = []fixes.Harm{fixes.HarmRestart, fixes.HarmInstall, fixes.HarmDriver, fixes.HarmReboot}

// consent is what a user said beforehand about carrying a plan out.
type consent struct {
	yes    bool
	dryRun bool
	allow  []string
	sudo   bool
}

// addFlags adds the flags of all commands that carry plans out; kinds are the harms that the plans may have.
func (c *consent) addFlags(flags *pflag.FlagSet, kinds string) {
	flags.BoolVarP(&c.yes, "yes", "y", false, "Answer yes for steps that edit files or reload the engine, and for those that --allow names")
	flags.BoolVar(&c.dryRun, "dry-run", false, "Show the plan, carry nothing out")
	flags.StringSliceVar(&c.allow, "allow", nil, "With --yes, carry out steps of these kinds, too: "+kinds)
	flags.BoolVar(&c.sudo, "sudo", false, "Carry steps that need root out by sudo")
}

// fixStep is a step in an answer as JSON.
type fixStep struct {
	fixes.Description
	fixes.Preview
	State fixes.StepState `json:"state,omitempty"`
	Error string          `json:"error,omitempty"`
	step  fixes.Step
}

// carried is the part of an answer that tells of a plan.
type carried struct {
	Steps   []fixStep `json:"steps"`
	Applied bool      `json:"applied"`
	Entry   int       `json:"entry,omitempty"`   // of the journal, for docker gpu fix --undo
	Refused string    `json:"refused,omitempty"` // why nothing was carried out, or not all
}

// carrying is a plan on its way: from what its steps would do to what they did.
type carrying struct {
	app    *app
	x      *fixes.Executor
	answer *carried
	whole  any // the answer that the other is a part of, as it is printed; nil: in words, which are printed elsewhere
}

// finish ends the command: as JSON the answer is printed, whatever came of it.
func (c carrying) finish(err error) error {
	if c.whole != nil {
		if writeErr := writeJSON(c.app.out(), c.whole, "  "); writeErr != nil {
			return writeErr
		}
	}
	return err
}

// refuse ends the command because of a reason.
func (c carrying) refuse(reason error) error {
	c.answer.Refused = reason.Error()
	if c.whole != nil {
		return c.finish(cli.StatusError{StatusCode: 1})
	}
	return fmt.Errorf("docker gpu: %w", reason)
}

// preview asks each step what it would do, and returns those that have something to do or cannot tell.
func (c carrying) preview(ctx context.Context, plan fixes.Plan) (needed []fixStep) {
	for _, step := range plan.Steps {
		f := fixStep{Description: step.Describe(), step: step}
		var err error
		if f.Preview, err = step.Preview(ctx, c.x.HostFor(f.Description)); err != nil {
			f.Error = err.Error()
		}
		c.answer.Steps = append(c.answer.Steps, f)
	}
	return slices.DeleteFunc(slices.Clone(c.answer.Steps), func(f fixStep) bool { return !f.Needed && f.Error == "" })
}

// carry asks for what needs asking and carries it out.
func (c carrying) carry(ctx context.Context, name string, needed []fixStep, said consent) error {
	if os.Geteuid() != 0 && !said.sudo && slices.ContainsFunc(needed, func(f fixStep) bool { return f.Root }) {
		return fmt.Errorf("this needs root, nothing was changed. Run: sudo docker gpu %s\nor let docker gpu do as root what needs it: docker gpu %s --sudo", quoteArgs(rest()), quoteArgs(rest()))
	}
	steps, err := said.ask(ctx, c.app, needed)
	if err != nil {
		return err
	}
	if c.whole == nil {
		c.x.Tell = func(p fixes.Progress) { tellStep(c.app, p) }
	}
	defer context.AfterFunc(ctx, func() {
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		fmt.Fprintln(c.app.cli.Err(), "\nInterrupted: ending where it can be gone on from. A second time ends at once.")
	})()
	result, err := c.x.Run(ctx, fixes.Plan{Name: name, Steps: steps})
	c.answer.Entry, c.answer.Applied = result.Entry, result.Changed()
	for i := range c.answer.Steps {
		s := &c.answer.Steps[i]
		for _, p := range result.Steps {
			if p.What.Text != s.Text {
				continue
			}
			if s.State = p.State; p.Err != nil {
				s.Error = p.Err.Error()
			}
		}
	}
	return err
}

// ask asks for the plan as a whole, then for each step that needs a question of its own, and returns what
// is to be carried out.
func (c consent) ask(ctx context.Context, app *app, needed []fixStep) ([]fixes.Step, error) {
	terminal := app.cli.In().IsTerminal()
	in := bufio.NewReader(app.cli.In())
	question := func(text string) bool {
		fmt.Fprintf(app.cli.Err(), "%s [y/N] ", text)
		line := make(chan string, 1)
		go func() { // reading cannot be broken off, waiting for it can
			text, _ := in.ReadString('\n')
			line <- strings.ToLower(strings.TrimSpace(text))
		}()
		select {
		case answer := <-line:
			return answer == "y" || answer == "yes"
		case <-ctx.Done():
			fmt.Fprintln(app.cli.Err())
			return false
		}
	}
	if !c.yes {
		if !terminal {
			return nil, errors.New("docker gpu asks before it changes anything, and this is no terminal: add --yes (nothing was changed)")
		}
		if !question("Carry this out?") {
			return nil, errors.New("nothing was changed")
		}
	}
	var steps []fixes.Step
	for i, f := range needed {
		_, single := f.step.(fixes.OneByOne)
		gentle := f.Harm == fixes.HarmEdit || f.Harm == fixes.HarmReload
		switch {
		case single && !terminal:
			fmt.Fprintf(app.cli.Err(), "Not done, because it has to be asked for on a terminal: %s\n", harmlessName(f.Text))
			continue
		case !single && (gentle || slices.Contains(c.allow, string(f.Harm))):
		case !terminal:
			return nil, fmt.Errorf("step %d, %q, is of the kind %q: add --allow %s (nothing was changed)", i+1, f.Text, f.Harm, f.Harm)
		case !question(fmt.Sprintf("Step %d: %s (%s). Carry it out?", i+1, harmlessName(f.Text), f.Harm)):
			if single && ctx.Err() == nil {
				continue
			}
			return nil, errors.New("nothing was changed")
		}
		steps = append(steps, f.step)
	}
	if len(steps) == 0 {
		return nil, errors.New("nothing was changed")
	}
	return steps, nil
}
