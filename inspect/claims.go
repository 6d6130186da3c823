package inspect

import (
	"context"
	"strings"

	"github.com/moby/moby/client"
)

// ClaimLabel is the label by which a container that `docker gpu run` started names the GPUs it was given:
// UUIDs, joined by commas. It holds them as long as it runs, whatever they do.
const ClaimLabel = "com.docker-gpu.gpus"

// ReadClaims asks the engine which running containers claim GPUs: names of containers by UUID.
func ReadClaims(ctx context.Context, m Machine) (map[string]string, error) {
	api, err := dial(ctx, m)
	if err != nil {
		_, _, err = whyUnreachable(ctx, m.Host, err)
		return nil, err
	}
	list, err := api.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("label", ClaimLabel)})
	if err != nil {
		_, _, err = whyUnreachable(ctx, m.Host, err)
		return nil, err
	}
	claims := map[string]string{}
	for _, item := range list.Items {
		c := containerListed(item)
		for uuid := range strings.SplitSeq(item.Labels[ClaimLabel], ",") {
			if uuid = strings.TrimSpace(uuid); uuid != "" {
				claims[bounded(uuid)] = c.Name
			}
		}
	}
	return claims, nil
}
