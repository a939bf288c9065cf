#!/usr/bin/env bash
# Runs every Go fuzz target for the given time each (default 5s).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
n=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file name; do
  dir=./$(dirname "$file")
  echo "fuzz $dir $name ($time)"
  # At the end of its time `go test` sometimes takes its own deadline for a
  # failure. Only that is tried again: a finding says where its input is.
  for try in 1 2 3; do
    go test "$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" >"$log" 2>&1 && break
    if [ "$try" -eq 3 ] || grep -q 'Failing input' "$log" || ! grep -q '^ *context deadline exceeded$' "$log"; then cat "$log"; exit 1; fi
  done
  n=$((n + 1))
done < <(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/:func /:/')
if [ "$n" -eq 0 ]; then echo "no fuzz targets found" >&2; exit 1; fi
echo "fuzz: $n targets, nothing found"
