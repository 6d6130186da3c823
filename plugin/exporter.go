//go:build !container

package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"

	"github.com/docker-gpu/docker-gpu/fixes"
	"github.com/docker-gpu/docker-gpu/inspect"
)

type exporterOptions struct {
	listen    string
	webConfig string
	timeout   time.Duration
}

func newExporterCmd(app *app, runF func(context.Context, *exporterOptions) error) *cobra.Command {
	opts := &exporterOptions{}
	cmd := &cobra.Command{
		Use:   "exporter [OPTIONS]",
		Short: "Serve Prometheus metrics of GPUs and of the containers that use them",
		Long: "Serve Prometheus metrics on /metrics: those of every GPU under the names, units and labels of NVIDIA's\n" +
			"dcgm-exporter, and what it lacks, by container and compose service. /healthz answers while it runs.\n" +
			"Another address than the loopback's shows your containers' names to whoever can reach it:\n" +
			"--web.config.file gives TLS and passwords (https://prometheus.io/docs/prometheus/latest/configuration/https).",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, port, err := net.SplitHostPort(opts.listen)
			if err != nil {
				return usageError(cmd, "--listen is ADDRESS:PORT, not %q", opts.listen)
			}
			if _, err := net.LookupPort("tcp", port); err != nil {
				return usageError(cmd, "--listen %s: %q is no port", opts.listen, port)
			}
			if opts.timeout <= 0 {
				return usageError(cmd, "--timeout must be longer than 0, not %s", opts.timeout)
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runExporter(cmd.Context(), app, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:9400", "`ADDRESS:PORT` to serve on")
	flags.StringVar(&opts.webConfig, "web.config.file", "", "`FILE` with TLS and authentication settings, as all Prometheus exporters read it")
	flags.DurationVar(&opts.timeout, "timeout", 5*time.Second, "Longest time that any one source may take in a scrape")
	return cmd
}

func runExporter(ctx context.Context, app *app, opts *exporterOptions) error {
	if err := web.Validate(opts.webConfig); err != nil {
		return fmt.Errorf("docker gpu: --web.config.file %s: %w", opts.webConfig, err)
	}
	e := newExporter(app, app.machine(app.cli.CurrentContext()), opts.timeout)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { e.watch.Run(ctx) })
	defer background.Wait()
	defer stop()
	defer e.close()

	logger := slog.New(slog.NewTextHandler(app.cli.Err(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	e.log = logger
	server := scrapeServer(e.handler())
	server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	go func() {
		<-ctx.Done()
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(limited)
	}()
	socket := false
	err := web.ListenAndServe(server, &web.FlagConfig{WebListenAddresses: &[]string{opts.listen}, WebSystemdSocket: &socket, WebConfigFile: &opts.webConfig}, logger)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	if opErr := new(net.OpError); errors.As(err, &opErr) && opErr.Op == "listen" {
		return fmt.Errorf("docker gpu: cannot listen on %s: %w\nanother address: docker gpu exporter --listen 127.0.0.1:9401", opts.listen, opErr.Err)
	}
	return fmt.Errorf("docker gpu: %w", err)
}

// scrapeServer bounds what a scraper can keep busy by being slow, or by never ending what it says.
func scrapeServer(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

// exporter collects for scrapes: one collection at a time, whoever asks.
type exporter struct {
	app     *app
	machine inspect.Machine
	timeout time.Duration
	sources []inspect.Source
	watch   *inspect.ContainerWatch
	stream  *inspect.NVMLStream
	log     *slog.Logger // nil: nothing is said

	mu      sync.Mutex
	running *collection
	last    *collected
	lastAt  time.Time
	energy  energyShares
	page    metricsPage
	down    map[string]bool // sources that failed when they were last read
}

// collected is one look at the machine.
type collected struct {
	snapshot *inspect.Snapshot
	findings []fixes.Finding
	energy   map[holder]float64
	took     time.Duration
	metrics  []*dto.MetricFamily
}

// collection is one that is under way; done is closed when result is there.
type collection struct {
	done   chan struct{}
	result *collected
}

// Ages up to which facts are good enough: those that change rarely are not read for every scrape.
const (
	scrapeAge = 200 * time.Millisecond
	logAge    = 15 * time.Second
	hostAge   = time.Minute
)

func newExporter(app *app, m inspect.Machine, timeout time.Duration) *exporter {
	e := &exporter{app: app, machine: m, timeout: timeout, energy: energyShares{}}
	dial := m.Dial
	client := sync.OnceValues(func() (inspect.EngineAPI, error) { return dial(context.Background()) })
	e.machine.Dial = func(context.Context) (inspect.EngineAPI, error) { return client() }
	e.machine.Seen = &inspect.ProcessesSeen{NamesFor: time.Minute}
	if self, err := os.Executable(); err == nil && runtime.GOOS == "linux" {
		e.stream = inspect.NewNVMLStream(self, nvmlCommand, "--stream")
		e.machine.NVML = e.stream.Read
	}
	e.watch = inspect.NewContainerWatch(e.machine)
	e.sources = []inspect.Source{
		inspect.Cached(inspect.EngineSource, hostAge), e.watch.Source(), inspect.NVMLSource,
		inspect.Cached(inspect.HostSource, hostAge), inspect.Cached(inspect.DriverSource, hostAge), inspect.Cached(inspect.ToolkitSource, hostAge),
		inspect.Cached(inspect.CDISource, hostAge), inspect.Cached(inspect.DaemonConfigSource, hostAge), inspect.Cached(inspect.KernelLogSource, logAge),
		e.watch.Swarm(),
	}
	return e
}

func (e *exporter) close() {
	if e.stream != nil {
		e.stream.Close()
	}
}

func (e *exporter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e.metricsHandler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>docker gpu exporter</title><h1>docker gpu exporter</h1><p><a href="/metrics">Metrics</a>`)
	})
	return mux
}

// metricsHandler answers scrapes. An answer is made whole before it is sent: a scraper that reads slowly keeps none
// of the places for those that collect, and the network is asked once.
func (e *exporter) metricsHandler() http.Handler {
	collect := promhttp.HandlerFor(e, promhttp.HandlerOpts{MaxRequestsInFlight: 32, DisableCompression: true})
	buffers := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := wholeAnswer{ResponseWriter: w, status: http.StatusOK, body: buffers.Get().(*bytes.Buffer)}
		defer buffers.Put(answer.body)
		answer.body.Reset()
		collect.ServeHTTP(&answer, r)
		w.Header().Set("Content-Length", strconv.Itoa(answer.body.Len()))
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes())
	})
	zip, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil { // only by options that are not ours
		return whole
	}
	return zip(whole)
}

// wholeAnswer keeps an answer until it is complete.
type wholeAnswer struct {
	http.ResponseWriter
	status int
	body   *bytes.Buffer
}

func (a *wholeAnswer) WriteHeader(status int)      { a.status = status }
func (a *wholeAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// Gather joins the collection that is under way, takes the last one where it is fresh, or starts one. It stands for
// a Prometheus registry, which would check at every scrape what holds here by the way the series are made: no
// two are the same, and labels are valid.
func (e *exporter) Gather() ([]*dto.MetricFamily, error) { return e.collected().metrics, nil }

func (e *exporter) collected() *collected {
	e.mu.Lock()
	if e.last != nil && time.Since(e.lastAt) < scrapeAge {
		defer e.mu.Unlock()
		return e.last
	}
	c := e.running
	if c == nil {
		c = &collection{done: make(chan struct{})}
		e.running = c
		e.mu.Unlock()
		c.result = e.look()
		e.mu.Lock()
		e.running, e.last, e.lastAt = nil, c.result, time.Now()
		e.mu.Unlock()
		close(c.done)
		return c.result
	}
	e.mu.Unlock()
	<-c.done
	return c.result
}

// look reads the machine once and judges what it saw. Only one look is under way at a time.
func (e *exporter) look() *collected {
	start := time.Now()
	s := inspect.Collect(context.Background(), e.machine, e.timeout, e.sources...)
	s.Tool = e.app.tool()
	r := &collected{snapshot: s, findings: fixes.Diagnose(s, fixes.Scope{}).Findings, energy: e.energy.add(s)}
	r.took = time.Since(start)
	r.metrics = e.page.metrics(e.app.version, r)
	e.say(s.Sources)
	return r
}

// say writes down why a source fails when it begins to, and that it is read again: a metric has no place for words.
func (e *exporter) say(sources []inspect.Reading) {
	if e.log == nil {
		return
	}
	down := map[string]bool{}
	for _, reading := range sources {
		switch {
		case reading.Error != "":
			down[reading.Name] = true
			if !e.down[reading.Name] {
				e.log.Warn("source cannot be read", "source", reading.Name, "error", harmlessName(reading.Error))
			}
		case e.down[reading.Name]:
			e.log.Info("source is read again", "source", reading.Name)
		}
	}
	e.down = down
}
