// Package timerslack lets the live view's timers be late by five milliseconds (prctl(2), PR_SET_TIMERSLACK). It looks
// once a second, and nobody sees them; but the Go runtime looks after its threads every 20 microseconds for as long as
// any of them works, and that was a sixth of all that top took.
package timerslack
