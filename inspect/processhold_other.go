//go:build !linux

package inspect

// processHold is of Linux alone.
type processHold struct{}

type heldProcesses struct{}

func (*ProcessesSeen) hold(int) processHold { return processHold{} }

func (processHold) held() bool { return false }

func (*ProcessesSeen) release(processHold) {}

func (*ProcessesSeen) ended() []int { return nil }

func readProc(root Root, name string) ([]byte, error) { return root.ReadFile(name) }
