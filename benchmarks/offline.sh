#!/usr/bin/env bash
# Install from a wheelhouse without any network, and plan the demonstration: benchmarks/offline.sh wheelhouse
set -euo pipefail
wheels=$(realpath "$1")
if ! unshare --net true 2>/dev/null; then
    echo "skipped: this machine does not let a process leave the network (unshare --net; root may)"
    exit 0
fi
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
unshare --net bash -euo pipefail -c '
    "${PYTHON:-python3}" -m venv "$1/venv"
    "$1/venv/bin/pip" install --quiet --no-index --find-links "$2" --requirement requirements.txt
    "$1/venv/bin/snakemake" --cores 1 --configfile workflow/studies/demo.yaml --dry-run --quiet
    "$1/venv/bin/python" -c "import torch, transformers; print(\"torch\", torch.__version__, \"without a network\")"
' offline "$scratch" "$wheels"
