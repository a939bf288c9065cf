#!/usr/bin/env bash
# Builds the web app into a scratch folder and compares it with the committed web/dist.
set -euo pipefail
cd "$(dirname "$0")/../web"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npx vite build --outDir "$out" --emptyOutDir --logLevel warn
if ! diff -r "$out" dist >/dev/null; then
  diff -rq "$out" dist || true
  echo "web/dist is not what the sources build. Run 'make web' and commit web/dist." >&2
  exit 1
fi
echo "web/dist: $(find dist -type f | wc -l) files, reproduced byte for byte"
