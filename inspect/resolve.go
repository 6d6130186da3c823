package inspect

// elsewhereByEndpoint says why the engine behind an endpoint cannot be on this machine, or "".
func elsewhereByEndpoint(context, endpoint string) string { return "" }

// elsewhereByFacts says by what the engine told of itself that it runs on another machine or kernel, or "".
func elsewhereByFacts(s *Snapshot, root Root) string { return "" }

// resolve joins facts of different sources: grants to GPUs, processes to containers.
func resolve(s *Snapshot, elsewhere bool) {}
