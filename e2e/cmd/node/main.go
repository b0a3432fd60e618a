package main

import (
	"context"
	"fmt"
	"os"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "guard" {
		if err := node.Guard(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
