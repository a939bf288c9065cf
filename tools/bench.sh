#!/usr/bin/env bash
# Takes the figures of docs/performance.md and prints them in one table, at most
# ten minutes on a quiet machine. Nothing here fails for being slow: a figure
# that could not be taken says so, and its log is in tmp/bench.
#
#   tools/bench.sh                     all of them
#   tools/bench.sh seal ingest fanout memory latency seek statements grant share desk    some of them
set -uo pipefail
cd "$(dirname "$0")/.."
logs=tmp/bench
mkdir -p "$logs" tmp/bin
rows=()

# measure NAME SECONDS COMMAND… keeps what the command says; the bound is
# against hanging.
measure() {
  local name=$1 limit=$2
  shift 2
  echo "$name …" >&2
  timeout --kill-after=20 "$limit" "$@" >"$logs/$name.log" 2>&1 || echo "$name: ended with $? (see $logs/$name.log)" >&2
}

# figure NAME LABEL TARGET SED adds a row: what the extended regular expression
# in SED, of the form s/…/…/, makes of the last line it matches.
figure() {
  local value
  value=$(sed -nE "$4p" "$logs/$1.log" | tail -n 1)
  rows+=("$2	${value:-not taken}	$3")
}

gotest() { go test -count=1 -v -timeout 15m "$@"; }
export -f gotest
browser() { (cd web && LATCHKEY_BENCH=1 LATCHKEY_BIN=$PWD/../tmp/bin/latchkey npx vitest run --config e2e/vitest.config.ts "$1"); }
export -f browser

seal() {
  LATCHKEY_BENCH=1 measure seal 360 bash -c 'gotest ./internal/home/hub -run "^TestRatio$"'
  figure seal 'hub, CPU-seconds per camera-minute (1080p25, 4 Mbit/s), sealed' '' 's/.*watched false sealed true +([0-9.]+) CPU.*/\1/'
  figure seal 'the same in clear' '' 's/.*watched false sealed false +([0-9.]+) CPU.*/\1/'
  figure seal 'sealed / in clear' '≤ 1.15' 's/.*: ratio ([0-9.]+) .*/\1/'
  figure seal 'sealed / in clear, while all cameras are watched' '' 's/.*: watched, ratio ([0-9.]+).*/\1/'
}

ingest() {
  LATCHKEY_BENCH=1 measure ingest 120 bash -c 'gotest ./internal/cloud -run "^TestRatio$"'
  figure ingest 'cloud ingest, MB per CPU-second' '' 's/.*: plain server [0-9]+ MB per CPU-second, ingest ([0-9]+), ratio.*/\1/'
  figure ingest 'ingest / plain HTTP server' '≥ 0.6' 's/.*: ratio ([0-9.]+) .*/\1/'
}

fanout() {
  measure fanout 120 bash -c 'gotest ./internal/cloud/live -run "^TestFanout$"'
  for n in 50 200; do
    figure fanout "live, CPU-seconds per viewer-minute, $n viewers" '≤ 0.05' "s/.*: $n viewers: ([0-9.]+) CPU-seconds per.*/\1/"
  done
}

memory() {
  LATCHKEY_BENCH=1 measure memory 600 bash -c 'gotest ./internal/world -run "^TestMemoryPerCamera$"'
  for p in hub cloud; do
    figure memory "$p, MiB resident with no, two, eight cameras" '' "s/.*: $p: ([0-9]+) MiB without a camera, ([0-9]+) with two, ([0-9]+) with eight.*/\1, \2, \3/"
    figure memory "$p, MiB a camera" '' "s/.*: $p: .*: ([0-9.]+) MiB a camera.*/\1/"
  done
}

latency() {
  measure latency 240 bash -c 'browser latency'
  for way in WebCodecs MSE; do
    figure latency "capture to glass (720p25), $way: median, p95" "$([ $way = MSE ] && echo '≤ 120 ms' || echo '≤ 60, ≤ 120 ms')" "s/.*capture to glass, $way: median ([0-9]+) ms, p95 ([0-9]+) ms.*/\1, \2 ms/"
  done
  figure latency 'join, open socket to first picture: median, p95' '≤ 300 ms' 's/.*join, open socket.*: median ([0-9]+) ms, p95 ([0-9]+) ms.*/\1, \2 ms/'
}

seek() {
  measure seek 400 bash -c 'browser seek'
  figure seek 'seek in 24 h, to 720p25 at 4 Mbit/s: median, p95' '≤ 250 ms' 's/.*seek to first picture, 25 a second: median ([0-9]+) ms, p95 ([0-9]+) ms.*/\1, \2 ms/'
  figure seek 'seek in 24 h, to few pictures: median, p95' '≤ 250 ms' 's/.*seek to first picture, 4 a second: median ([0-9]+) ms, p95 ([0-9]+) ms.*/\1, \2 ms/'
}

statements() {
  LATCHKEY_BENCH=1 measure statements 120 bash -c 'gotest ./internal/cloud -run "^TestStatementsAtOnce$"'
  figure statements 'statements a second, two witnesses: accepted, in the log' '' 's/.*2 witnesses: ([0-9]+) a second into the chains, ([0-9]+) a second into the log.*/\1, \2/'
  figure statements 'in the log, two witnesses / none' '' 's/.*with two witnesses \/ with none ([0-9.]+).*/\1/'
}

grant() {
  measure grant 120 bash -c 'browser grant'
  figure grant 'an hour out of 30 days given in the browser: median, p95' '' 's/.*an hour out of 30 days: median ([0-9]+) ms, p95 ([0-9]+) ms.*/\1, \2 ms/'
}

share() {
  measure share 240 bash -c 'go test ./cmd/latchkey -run XXX -bench Share -benchtime 20x'
  figure share 'share to a link that opens, two witnesses: median, p95' '' 's/.*[[:space:]]([0-9.]+) ms-share-median[[:space:]]+([0-9.]+) ms-share-p95.*/\1, \2 ms/'
  figure share 'opening a link: median, p95' '' 's/.*[[:space:]]([0-9.]+) ms-open-median[[:space:]]+([0-9.]+) ms-open-p95.*/\1, \2 ms/'
}

desk() {
  measure desk 240 bash -c 'go test ./cmd/latchkey -run XXX -bench Desk -benchtime 20x && go test ./internal/cloud/policy -run XXX -bench Decide'
  figure desk 'minutes given to staff with two keys, two witnesses: median, p95' '' 's/.*[[:space:]]([0-9.]+) ms-give-median[[:space:]]+([0-9.]+) ms-give-p95.*/\1, \2 ms/'
  figure desk 'from there to opened footage: median, p95' '' 's/.*[[:space:]]([0-9.]+) ms-look-median[[:space:]]+([0-9.]+) ms-look-p95.*/\1, \2 ms/'
  figure desk 'of that, the hub'"'"'s release: median, p95' '' 's/.*[[:space:]]([0-9.]+) ms-release-median[[:space:]]+([0-9.]+) ms-release-p95.*/\1, \2 ms/'
  figure desk 'one decision of the rules' '' 's/.*BenchmarkDecide.*[[:space:]]([0-9.]+) ns\/op.*/\1 ns/'
}

all=(seal ingest fanout memory latency seek statements grant share desk)
if [ $# -gt 0 ]; then wanted=("$@"); else wanted=("${all[@]}"); fi
for name in "${wanted[@]}"; do
  case " ${all[*]} " in *" $name "*) ;; *) echo "bench: no figure is called $name; there are: ${all[*]}" >&2; exit 2 ;; esac
done
go build -o tmp/bin/latchkey ./cmd/latchkey
export LATCHKEY_BIN=$PWD/tmp/bin/latchkey
for name in "${wanted[@]}"; do "$name"; done

echo
echo "$(date -u +%FT%TZ), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null)"
printf '%s\n' "${rows[@]}" | awk -F'\t' '{ printf "%-66s %12s   %s\n", $1, $2, $3 }'
