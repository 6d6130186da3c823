//go:build cgo

package timerslack

import "C" // the C file is built with it
