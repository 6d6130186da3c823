package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type k8sOptions struct {
	format  string
	from    string
	timeout time.Duration
	noTrunc bool
	query   inspect.ClusterQuery
}

// clusterAnswer is what `k8s --format json` prints: the cluster with its verdict.
type clusterAnswer struct {
	*inspect.Cluster
	Verdict fixes.Verdict `json:"verdict"`
}

func newK8sCmd(app *app) *cobra.Command {
	opts := &k8sOptions{}
	cmd := &cobra.Command{
		Use:   "k8s [OPTIONS]",
		Short: "Show the GPUs of a Kubernetes cluster, who holds them, and why a GPU pod waits",
		Long: "Show nodes with GPUs, what is allocatable and in use, MIG resources, the pods that hold GPUs, which of\n" +
			"NVIDIA's components are there, and a verdict in one line. Asks the cluster by your own kubectl.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			return runK8s(cmd.Context(), app, opts)
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&opts.query.Kubeconfig, "kubeconfig", "", "Path of the kubeconfig `FILE`, as kubectl takes it")
	flags.StringVar(&opts.query.Context, "kube-context", "", "Context of the kubeconfig")
	flags.StringVarP(&opts.query.Namespace, "namespace", "n", "", "Namespace of the pods")
	flags.StringVar(&opts.format, "format", "", "Format output using a custom template: 'table', 'json', or a Go template")
	flags.DurationVar(&opts.timeout, "timeout", 10*time.Second, "Longest time that the cluster may take to answer")
	flags.BoolVar(&opts.noTrunc, "no-trunc", false, "Don't truncate output")
	cmd.Flags().StringVar(&opts.from, "from", "", "Read a `FILE` that k8s --format json wrote instead of a cluster")
	cmd.AddCommand(newK8sDiagnoseCmd(app, opts), newK8sTestCmd(app, opts))
	return cmd
}

func (o *k8sOptions) check(cmd *cobra.Command) error {
	if o.timeout <= 0 {
		return usageError(cmd, "--timeout must be longer than 0, not %s", o.timeout)
	}
	return checkTemplate(cmd, o.format)
}

func (o *k8sOptions) width(app *app) int {
	if o.noTrunc {
		return 0
	}
	return app.width()
}

// errNoKubectl is the answer where the cluster cannot be asked at all.
var errNoKubectl = errors.New("docker gpu: kubectl is not on the PATH: docker gpu k8s asks the cluster by it\ninstall it: https://kubernetes.io/docs/tasks/tools/")

func (o *k8sOptions) cluster(ctx context.Context, app *app) (*inspect.Cluster, error) {
	if o.from != "" {
		c, err := readFrom[inspect.Cluster](o.from, app.cli.In(), "cluster record", "docker gpu k8s --format json")
		if err == nil && c.Nodes == nil && c.Pods == nil {
			err = fmt.Errorf("docker gpu: %s is no cluster record: it tells of no nodes and no pods\nmake one with: docker gpu k8s --format json", o.from)
		}
		return c, err
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		return nil, errNoKubectl
	}
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	c := inspect.ReadCluster(limited, run, o.query, time.Now())
	if c.Nodes == nil && c.Pods == nil {
		return nil, clusterError(c)
	}
	return c, nil
}

// clusterError says why nothing of a cluster could be read.
func clusterError(c *inspect.Cluster) error {
	for _, r := range c.Sources {
		switch text := r.Error; {
		case r.TimedOut:
			return errors.New("docker gpu: the cluster does not answer in time\nask it by: kubectl cluster-info")
		case strings.Contains(text, "Unauthorized") || strings.Contains(text, "must be logged in"):
			return fmt.Errorf("docker gpu: the cluster does not know you: your credentials are missing or expired\n%s", harmlessText(text))
		case strings.Contains(text, "orbidden"):
			return fmt.Errorf("docker gpu: you may not list the cluster's nodes or pods\n%s", harmlessText(text))
		case text != "":
			return fmt.Errorf("docker gpu: the cluster cannot be asked: %s", harmlessText(text))
		}
	}
	return errors.New("docker gpu: the cluster cannot be asked")
}

func runK8s(ctx context.Context, app *app, opts *k8sOptions) error {
	c, err := opts.cluster(ctx, app)
	if err != nil {
		return err
	}
	answer := clusterAnswer{c, fixes.JudgeCluster(c)}
	switch opts.format {
	case "", "table":
		return writeCluster(app.out(), opts.width(app), answer, opts.query.Namespace)
	case "json":
		return writeJSON(app.out(), answer, "  ")
	}
	return writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), answer)
}

func writeCluster(out io.Writer, width int, a clusterAnswer, namespace string) error {
	var b strings.Builder
	var components []string
	for _, d := range a.DaemonSets {
		if d.Role != "other" {
			components = append(components, fmt.Sprintf("%s %d/%d", strings.ReplaceAll(d.Role, "-", " "), d.Ready, d.Desired))
		}
	}
	if a.DaemonSets != nil && len(components) == 0 {
		components = []string{"none"}
	}
	var classes []string
	for _, r := range a.RuntimeClasses {
		if strings.Contains(r.Name+r.Handler, "nvidia") {
			classes = append(classes, r.Name)
		}
	}
	if a.RuntimeClasses != nil && len(classes) == 0 {
		classes = []string{"none"}
	}
	nodes := ""
	if a.Nodes != nil {
		nodes = fixes.Counted(len(a.Nodes), "node")
	}
	for _, line := range [][2]string{{"Cluster", parts(a.Context, nodes)}, {"NVIDIA", parts(components...)}, {"Runtime", parts(labelled("runtime class ", strings.Join(classes, ", ")))}} {
		if line[1] != "" {
			b.WriteString(shorten(fmt.Sprintf("%-9s %s", line[0], line[1]), width) + "\n")
		}
	}
	if rows := nodeRows(a.Nodes); len(rows) > 0 {
		b.WriteString("\n")
		columns := []column{{title: "NODE", keep: keepAlways, least: 12}, {title: "RESOURCE", keep: keepAlways}, {title: "GPU", keep: 40, least: 12}, {title: "IN USE", keep: keepAlways, right: true}, {title: "ALLOCATABLE", keep: keepAlways, right: true}, {title: "CAPACITY", keep: 60, right: true}, {title: "STATE", keep: 80, least: 10}}
		if err := writeTable(&b, width, columns, rows); err != nil {
			return err
		}
	}
	if rows := podRows(a.Pods, namespace); len(rows) > 0 {
		b.WriteString("\n")
		columns := []column{{title: "POD", keep: keepAlways, least: 16}, {title: "NODE", keep: 80, least: 10}, {title: "GPUS", keep: keepAlways}, {title: "STATE", keep: keepAlways}}
		if err := writeTable(&b, width, columns, rows); err != nil {
			return err
		}
	}
	for _, r := range a.Sources {
		if r.Error != "" {
			writeText(&b, width, "! ", harmlessName(r.Name+": "+r.Error))
		}
	}
	b.WriteByte('\n')
	writeText(&b, width, mark(a.Verdict.Code)+" ", harmlessName(a.Verdict.Text))
	if a.Verdict.Next != "" {
		b.WriteString("  Next: " + a.Verdict.Next + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func nodeRows(nodes []inspect.ClusterNode) [][]string {
	var rows [][]string
	for _, n := range nodes {
		state := "ready"
		switch {
		case n.Ready == nil:
			state = ""
		case !*n.Ready:
			state = "not ready"
		}
		if n.Unschedulable {
			state += ", cordoned"
		}
		for _, t := range n.Taints {
			if strings.HasPrefix(t.Key, "nvidia.com/") {
				state += ", tainted " + t.Key
			}
		}
		for _, resource := range slices.Sorted(maps.Keys(n.Capacity)) {
			if n.Capacity[resource] == 0 && n.Allocatable[resource] == 0 {
				continue
			}
			rows = append(rows, []string{harmlessName(n.Name), harmlessName(resource), harmlessName(n.Labels["nvidia.com/gpu.product"]), fmt.Sprint(n.InUse[resource]), fmt.Sprint(n.Allocatable[resource]), fmt.Sprint(n.Capacity[resource]), harmlessName(state)})
		}
	}
	return rows
}

func podRows(pods []inspect.ClusterPod, namespace string) [][]string {
	var rows [][]string
	for _, p := range pods {
		if namespace != "" && p.Namespace != namespace || p.Phase == "Succeeded" || p.Phase == "Failed" || len(p.Requests) == 0 {
			continue
		}
		var gpus []string
		for _, resource := range slices.Sorted(maps.Keys(p.Requests)) {
			name := strings.TrimPrefix(resource, "nvidia.com/")
			gpus = append(gpus, fmt.Sprintf("%d %s", p.Requests[resource], name))
		}
		state := strings.ToLower(p.Phase)
		for _, c := range p.Containers {
			if c.Reason != "" {
				state += " (" + c.Reason + ")"
				break
			}
		}
		rows = append(rows, []string{harmlessName(p.Namespace + "/" + p.Name), harmlessName(p.Node), harmlessName(strings.Join(gpus, ", ")), harmlessName(state)})
	}
	return rows
}

func newK8sDiagnoseCmd(app *app, opts *k8sOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diagnose [OPTIONS] [POD]",
		Short: "Say why a GPU pod is pending or failing",
		Long: "Say why a pod is pending or failing: the pod named, or all pods that ask for a GPU and do not run.\n" +
			"Exit code 1 where something was found.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, "k8s diagnose takes one POD")
			}
			if err := opts.check(cmd); err != nil {
				return err
			}
			pod := ""
			if len(args) == 1 {
				pod = strings.TrimPrefix(args[0], "pod/")
			}
			return runK8sDiagnose(cmd.Context(), app, opts, pod)
		},
	}
	cmd.Flags().StringVar(&opts.from, "from", "", "Read a `FILE` that k8s --format json wrote instead of a cluster")
	return cmd
}

func runK8sDiagnose(ctx context.Context, app *app, opts *k8sOptions, pod string) error {
	if namespace, name, ok := strings.Cut(pod, "/"); ok {
		opts.query.Namespace, pod = namespace, name
	}
	opts.query.Pod = pod
	c, err := opts.cluster(ctx, app)
	if err != nil {
		return err
	}
	if c.Pods == nil { // that no pod waits is not to be said of pods that could not be read
		return clusterError(c)
	}
	var pods []*inspect.ClusterPod
	for i := range c.Pods {
		p := &c.Pods[i]
		if opts.query.Namespace != "" && p.Namespace != opts.query.Namespace {
			continue
		}
		if p.Name == pod || pod == "" && p.Phase != "Succeeded" {
			pods = append(pods, p)
		}
	}
	if pod != "" && len(pods) == 0 {
		return fmt.Errorf("docker gpu: there is no pod %q in %s", pod, namespaceText(opts.query.Namespace))
	}
	findings := diagnosePods(ctx, c, pods, opts)
	switch opts.format {
	case "", "table":
		err = writePodFindings(app.out(), opts.width(app), c, pods, findings)
	case "json":
		err = writeJSON(app.out(), struct {
			SchemaVersion int             `json:"schemaVersion"`
			Findings      []fixes.Finding `json:"findings"`
			Related       []fixes.Finding `json:"related"`
		}{inspect.SchemaVersion, findings, []fixes.Finding{}}, "  ")
	default:
		err = writeTemplate(app.out(), strings.TrimPrefix(opts.format, "table "), findings)
	}
	if err == nil && slices.ContainsFunc(findings, func(f fixes.Finding) bool { return f.Severity.WarningOrWorse() }) {
		return cli.StatusError{StatusCode: 1}
	}
	return err
}

// diagnosePods reads what events and logs say of the pods that do not run well, a few at once.
func diagnosePods(ctx context.Context, c *inspect.Cluster, pods []*inspect.ClusterPod, opts *k8sOptions) []fixes.Finding {
	limited, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	found := make([][]fixes.Finding, len(pods))
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, p := range pods {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if opts.from == "" && p.Phase != "Running" || p.Name == opts.query.Pod && opts.from == "" {
				inspect.ReadPod(limited, run, opts.query, p)
			}
			found[i] = fixes.DiagnosePod(c, p)
		})
	}
	wg.Wait()
	findings := slices.Concat(found...)
	if findings == nil {
		findings = []fixes.Finding{}
	}
	return findings // by pod, each with its cause first
}

func namespaceText(namespace string) string {
	if namespace == "" {
		return "any namespace"
	}
	return "namespace " + namespace
}

func writePodFindings(out io.Writer, width int, c *inspect.Cluster, pods []*inspect.ClusterPod, findings []fixes.Finding) error {
	var b strings.Builder
	for _, f := range findings {
		where := ""
		if f.Container != "" {
			where = "pod " + harmlessName(f.Container) + ": "
		}
		writeFindingOf(&b, width, f, where)
		b.WriteString("\n")
	}
	if len(findings) == 0 {
		text := "No GPU pod waits or fails."
		if len(pods) == 1 {
			text = fmt.Sprintf("Nothing found that keeps %s/%s from its GPU: it is %s.", pods[0].Namespace, pods[0].Name, strings.ToLower(pods[0].Phase))
		}
		writeText(&b, width, "✓ ", harmlessName(text))
	}
	for _, r := range c.Sources {
		if r.Error != "" {
			writeText(&b, width, "! ", harmlessName(r.Name+": "+r.Error))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
