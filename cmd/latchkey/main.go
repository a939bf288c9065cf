// Command latchkey is Latchkey on the command line: the home agent, a
// person's client, and (for self-hosters and the demo) the cloud, in one
// binary. It is the only program that sees both sides of the wall.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"latchkey.dev/latchkey/internal/home/hub"
)

func main() {
	os.Exit(start())
}

// start exists so that the deferred stop runs before the process exits.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := hub.GuardMemory(); err != nil {
		// Not a reason to stop recording; whoever runs it should know.
		fmt.Fprintf(os.Stderr, "latchkey: %v\n", err)
	}
	return run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv})
}
