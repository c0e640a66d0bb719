#!/usr/bin/env bash
# Measure on one GPU what synaug promises there, in at most eight minutes, with a result after each part.
#
#   bash benchmarks/gpu.sh [FOLDER]     # writes FOLDER/*.log; default: build/gpu
#
# DEVICE=cpu TINY=1 runs the same parts in sizes that only show that they run.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/gpu}
device=${DEVICE:-cuda}
mkdir -p "$out"

part() { # NAME SECONDS COMMAND...: a part that fails or takes too long does not stop the others
    local name=$1 seconds=$2 began=$SECONDS
    shift 2
    echo "== $name: $*"
    if timeout "$seconds" "$@" >"$out/$name.log" 2>&1; then
        tail -n 12 "$out/$name.log"
    else
        echo "-- $name ended with $? after $((SECONDS - began)) s"
        tail -n 5 "$out/$name.log"
    fi
}

train=(python benchmarks/training.py --device "$device" --json)
generate=(python benchmarks/generation.py --device "$device")
if [ -n "${TINY:-}" ]; then
    small=(--size 8 --batch 4 --steps 2 --repeats 1 --workers 0 --images 16)
    part resnet32 300 "${train[@]}" --network resnet8 "${small[@]}"
    part embedded 300 "${generate[@]}" --images 4 --loop-images 1 --batches 4 --repeats 1
    exit
fi
part environment 20 python -c "import torch; print(torch.__version__, torch.cuda.get_device_name())"
part waits 20 python -m pytest -q tests/training/test_waits.py
part resnet32 90 "${train[@]}" --network resnet32 --batch 512 --steps 200
part resnet50 90 "${train[@]}" --network timm/resnet50 --size 224 --batch 256 --steps 30 --images 2048
part embedded 60 "${generate[@]}" --images 4096 --loop-images 32 --batches 512 1024
part turbo 90 "${generate[@]}" --size turbo --images 128 --loop-images 8 --batches 8 16
part sd15 110 "${generate[@]}" --size sd15 --images 48 --loop-images 4 --batches 8 16
