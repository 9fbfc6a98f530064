#!/usr/bin/env bash
# Runs the measures against the release binary, which it builds if needed. `--help` shows the options.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
ninja -C build/release millrace millrace_bench >&2
exec build/release/bench/millrace_bench --binary build/release/millrace "$@"
