//go:build !linux

package inspect

// processHold is of Linux alone.
type processHold struct{}

func holdProcess(int) processHold { return processHold{} }

func (processHold) held() bool { return false }

func (processHold) release() {}

func (*ProcessesSeen) ended() []int { return nil }
