// Command latchkey-cloud is the cloud alone: what operators deploy. It cannot
// reach the code that opens footage, because it does not contain it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(start())
}

// start exists so that the deferred stop runs before the process exits.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
