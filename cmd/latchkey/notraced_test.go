//go:build !race

package main

// raced: the race detector runs.
const raced = false
