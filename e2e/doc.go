// Package e2e holds the bench: scenarios against real engines, behind the build tag e2e. See README.md.
package e2e
