//go:build !linux

package inspect

func readDeviceNodes(Root) ([]DeviceNode, []CharLink) { return nil, nil }
