package plugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// leaseFolders are where leases are kept: the machine's, else the user's own.
func leaseFolders() []string {
	if folder := os.Getenv("DOCKER_GPU_LEASES"); folder != "" {
		return []string{folder}
	}
	folders := []string{"/run/docker-gpu"}
	if own := os.Getenv("XDG_RUNTIME_DIR"); own != "" {
		folders = append(folders, filepath.Join(own, "docker-gpu"))
	}
	return append(folders, filepath.Join(os.TempDir(), fmt.Sprintf("docker-gpu-%d", os.Geteuid())))
}

// noLeases says why there is no folder for them.
func noLeases(err error) error {
	return fmt.Errorf("docker gpu: no folder for leases: %w\nname one that you can write to: DOCKER_GPU_LEASES=FOLDER docker gpu pick", err)
}

func leaseText(holder *fixes.LeaseHolder, now time.Time) string {
	who := ""
	if holder.User != "" {
		who = " by " + harmlessName(holder.User)
	}
	if holder.PID > 0 {
		who += fmt.Sprintf(" (process %d)", holder.PID)
	}
	if holder.Live {
		return "held" + who
	}
	return fmt.Sprintf("picked%s, kept for %s more", who, holder.Until.Sub(now).Round(time.Second))
}

// leaseLine is a line of `pick --list`.
type leaseLine struct {
	fixes.LeaseHolder
	Container string `json:"container,omitempty"`
}

func listLeases(ctx context.Context, app *app, machine inspect.Machine, leases *fixes.Leases, opts *pickOptions) error {
	holders, err := leases.List()
	if err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	claims, claimsErr := inspect.ReadClaims(limited, machine)
	var lines []leaseLine
	for _, h := range holders {
		lines = append(lines, leaseLine{h, claims[h.GPU]})
		delete(claims, h.GPU)
	}
	for uuid, name := range claims {
		lines = append(lines, leaseLine{fixes.LeaseHolder{GPU: uuid}, name})
	}
	slices.SortFunc(lines, func(a, b leaseLine) int { return strings.Compare(a.GPU, b.GPU) })
	switch opts.format {
	case "", "table":
		var rows [][]string
		for _, l := range lines {
			what, until := "container", ""
			switch {
			case l.Live:
				what = "start under way"
			case !l.Until.IsZero():
				what, until = "pick", l.Until.Local().Format(time.TimeOnly)
			}
			pid := ""
			if l.PID > 0 {
				pid = fmt.Sprint(l.PID)
			}
			rows = append(rows, []string{harmlessName(l.GPU), what, harmlessName(l.Container), harmlessName(l.User), pid, until})
		}
		columns := []column{{title: "GPU", keep: keepAlways}, {title: "HELD BY", keep: keepAlways}, {title: "CONTAINER", keep: 90, least: 12}, {title: "USER", keep: 60}, {title: "PID", keep: 40}, {title: "UNTIL", keep: 50}}
		if err := writeTable(app.out(), app.width(), columns, rows); err != nil {
			return err
		}
	default:
		for _, l := range lines {
			if opts.format == "json" {
				err = writeJSON(app.out(), l, "")
			} else {
				err = writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), l)
			}
			if err != nil {
				return err
			}
		}
	}
	if claimsErr != nil {
		fmt.Fprintln(app.cli.Err(), harmlessText("docker gpu: which containers hold GPUs is not known: "+claimsErr.Error()))
	}
	return nil
}
