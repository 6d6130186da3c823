package plugin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/docker/cli/cli"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

// k8sCleanCommand is the hidden command by which a process of its own removes the test pod, so that it
// goes whatever ends the one that made it.
const k8sCleanCommand = "__k8s-clean"

type k8sTestOptions struct {
	*k8sOptions
	image        string
	runtimeClass string
	gpus         int
	wait         time.Duration
}

func newK8sTestCmd(app *app, shared *k8sOptions) *cobra.Command {
	opts := &k8sTestOptions{k8sOptions: shared}
	cmd := &cobra.Command{
		Use:   "test [OPTIONS]",
		Short: "Start a pod that asks for a GPU, show what nvidia-smi says in it, and remove it",
		Long: "Start a pod that asks for nvidia.com/gpu: 1, wait until it has run, print what nvidia-smi said in it,\n" +
			"and remove it, whatever happened. Exit code 1 where it did not run.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(cmd); err != nil {
				return err
			}
			if opts.wait <= 0 || opts.gpus < 1 {
				return usageError(cmd, "--wait must be longer than 0, and --gpus at least 1")
			}
			return runK8sTest(cmd.Context(), app, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.image, "image", "nvidia/cuda:12.4.1-base-ubuntu22.04", "Image to run; it needs no nvidia-smi of its own")
	flags.StringVar(&opts.runtimeClass, "runtime-class", "", "Runtime class of the pod")
	flags.IntVar(&opts.gpus, "gpus", 1, "GPUs to ask for")
	flags.DurationVar(&opts.wait, "wait", 5*time.Minute, "Longest time to wait for the pod, pulling included")
	return cmd
}

func runK8sTest(ctx context.Context, app *app, opts *k8sTestOptions) error {
	if _, err := exec.LookPath("kubectl"); err != nil {
		return errNoKubectl
	}
	name := testPodName()
	namespace := opts.query.Namespace
	if namespace == "" {
		namespace = "default"
	}
	clean, err := cleaner(opts.query.Kubectl("delete", "pod", name, "--namespace="+namespace, "--ignore-not-found", "--wait=false", "--grace-period=0", "--force"))
	if err != nil {
		return fmt.Errorf("docker gpu: %w", err)
	}
	defer clean()
	overrides, err := json.Marshal(testPod(name, opts))
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, opts.wait)
	defer cancel()
	if _, err := run(limited, opts.query.Kubectl("run", name, "--namespace="+namespace, "--image="+opts.image, "--restart=Never", "--labels=com.docker-gpu.test=true", "--overrides="+string(overrides))...); err != nil {
		if findings := fixes.ExplainString("kubectl", err.Error()).Findings; len(findings) > 0 {
			return errors.Join(fmt.Errorf("docker gpu: the test pod was refused: %s", harmlessText(err.Error())), writePodFindings(app.cli.Err(), app.width(), &inspect.Cluster{}, nil, findings))
		}
		return fmt.Errorf("docker gpu: the test pod was refused: %w", err)
	}
	stop := app.progress(limited, "waiting for the test pod "+namespace+"/"+name)
	p, reason := awaitPod(limited, opts, namespace, name)
	stop()
	if p != nil && p.Phase == "Succeeded" {
		logs, err := run(limited, opts.query.Kubectl("logs", "--namespace="+namespace, name)...)
		if err != nil {
			return fmt.Errorf("docker gpu: the test pod ran, its output cannot be read: %w", err)
		}
		fmt.Fprint(app.out(), harmlessText(string(logs)))
		fmt.Fprintf(app.out(), "\n✓ A pod with %s ran on node %s.\n", fixes.Counted(opts.gpus, "GPU"), harmlessName(p.Node))
		return nil
	}
	return explainTestPod(ctx, app, opts, namespace, name, reason)
}

// explainTestPod says why the pod did not run, as `k8s diagnose` does.
func explainTestPod(ctx context.Context, app *app, opts *k8sTestOptions, namespace, name, reason string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("docker gpu: interrupted; the test pod is removed: %w", ctx.Err())
	}
	opts.query.Namespace, opts.query.Pod = namespace, name
	c, err := opts.cluster(ctx, app)
	if err != nil {
		return err
	}
	var pods []*inspect.ClusterPod
	for i := range c.Pods {
		if c.Pods[i].Name == name {
			pods = append(pods, &c.Pods[i])
		}
	}
	findings := diagnosePods(ctx, c, pods, opts.k8sOptions)
	if len(findings) == 0 {
		return fmt.Errorf("docker gpu: the test pod did not run: %s", harmlessText(reason))
	}
	fmt.Fprintln(app.cli.Err(), "docker gpu: the test pod did not run: "+harmlessName(reason))
	if err := writePodFindings(app.out(), opts.width(app), c, pods, findings); err != nil {
		return err
	}
	return cli.StatusError{StatusCode: 1}
}

// patience is how long a pod may be unschedulable before that is the answer: schedulers try again, and
// nodes come back.
const patience = 5 * time.Second

// awaitPod asks for the pod once a second until it has run, cannot run, or the time is over.
func awaitPod(ctx context.Context, opts *k8sTestOptions, namespace, name string) (*inspect.ClusterPod, string) {
	var last *inspect.ClusterPod
	reason := "it was not seen"
	unschedulableSince := time.Time{}
	for {
		query := opts.query
		query.Namespace, query.Pod = namespace, name
		if p, err := inspect.ReadOnePod(ctx, run, query); err == nil {
			last, reason = p, strings.ToLower(p.Phase)
			if p.Message != "" {
				reason = p.Message
			}
			if p.Phase == "Succeeded" || p.Phase == "Failed" {
				return p, reason
			}
			for _, c := range p.Containers {
				switch c.Reason {
				case "CreateContainerError", "CreateContainerConfigError", "RunContainerError", "ErrImagePull", "ImagePullBackOff", "InvalidImageName":
					return p, c.Reason + ": " + c.Message
				}
			}
			if p.Scheduled != nil && !*p.Scheduled {
				if unschedulableSince.IsZero() {
					unschedulableSince = time.Now()
				}
				if time.Since(unschedulableSince) > patience {
					return p, reason
				}
			}
		} else if ctx.Err() == nil {
			reason = err.Error()
		}
		select {
		case <-ctx.Done():
			return last, "it did not run in time: " + reason
		case <-time.After(time.Second):
		}
	}
}

// testPod is the pod's specification: a deadline of its own, no restart, tolerance of NVIDIA's taint.
func testPod(name string, opts *k8sTestOptions) map[string]any {
	gpus := map[string]string{"nvidia.com/gpu": fmt.Sprint(opts.gpus)}
	spec := map[string]any{
		"activeDeadlineSeconds":         int(opts.wait.Seconds()) + 1,
		"terminationGracePeriodSeconds": 0,
		"tolerations":                   []map[string]string{{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}},
		"containers": []map[string]any{{"name": name, "image": opts.image, "command": []string{"nvidia-smi"}, "resources": map[string]any{"limits": gpus},
			"env": []map[string]string{{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}}}},
	}
	if opts.runtimeClass != "" {
		spec["runtimeClassName"] = opts.runtimeClass
	}
	return map[string]any{"apiVersion": "v1", "spec": spec}
}

func testPodName() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return "docker-gpu-test-" + hex.EncodeToString(b[:])
}

// cleaner starts a process that runs argv once its input ends: when clean is called, or when this process
// is gone. clean waits until it is done.
func cleaner(argv []string) (clean func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, k8sCleanCommand)
	ownSession(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(argv)
	if err == nil {
		_, err = in.Write(append(line, '\n'))
	}
	if err != nil {
		in.Close()
		return nil, errors.Join(err, cmd.Wait())
	}
	return func() { in.Close(); _ = cmd.Wait() }, nil
}

// serveK8sClean is the cleaning process: it reads the command line, waits for the end of its input, runs it.
func serveK8sClean(in io.Reader, stderr io.Writer) int {
	reader := bufio.NewReader(io.LimitReader(in, 1<<20))
	line, err := reader.ReadBytes('\n')
	var argv []string
	if err != nil || json.Unmarshal(bytes.TrimSpace(line), &argv) != nil || len(argv) == 0 {
		return 1
	}
	_, _ = io.Copy(io.Discard, reader)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		if _, err = run(ctx, argv...); err == nil {
			return 0
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(stderr, "docker gpu: the test pod was not removed: %s\nremove it: %s\n", harmlessText(err.Error()), harmlessText(strings.Join(argv, " ")))
			return 1
		case <-time.After(2 * time.Second):
		}
	}
}
