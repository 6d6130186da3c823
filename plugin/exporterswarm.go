//go:build !container

package plugin

import "github.com/docker-gpu/docker-gpu/inspect"

var swarmFamilies = []*family{}

func (p *metricsPage) swarm(v *inspect.SwarmView) {}
