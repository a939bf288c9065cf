#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: Debian's chromium and
# ffmpeg, and the npm packages of web/package-lock.json.
set -euo pipefail
cd "$(dirname "$0")/.."
want=()
command -v chromium >/dev/null || want+=(chromium)
command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || want+=(ffmpeg)
if [ ${#want[@]} -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  if ! command -v apt-get >/dev/null; then
    echo "The tests need: ${want[*]}. Install them with your system's package manager and run make test again." >&2
    exit 1
  fi
  echo "Installing ${want[*]} with apt-get."
  "${sudo[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${want[@]}"
fi
if [ ! -e web/node_modules/.package-lock.json ] || [ web/package-lock.json -nt web/node_modules/.package-lock.json ]; then
  # Not `npm ci`: it refuses a lock file that lacks optional packages for other
  # platforms, which a registry mirror may not carry. --no-save keeps the lock as it is.
  (cd web && npm install --no-save --no-audit --no-fund)
  git diff --exit-code --stat -- web/package-lock.json
fi
