#!/bin/sh
# fw.sh build|run|count|size IMAGE [ARGUMENT...]
#   run    under QEMU, ends with the exit status of the image
#   count  the same with a clock driven by executed instructions (fw::instructions)
# FW_FEATURES=no-panic and the like add features, FW_QUIET=1 hides cargo.
set -eu
cd "$(dirname "$0")"
[ $# -ge 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
what=$1 image=$2
shift 2
. ./build-std-env.sh
cargo build ${FW_QUIET:+-q} --release --features "${FW_FEATURES:-}" --bin "$image" --target-dir target
elf=$PWD/target/thumbv7m-none-eabi/release/$image
case $what in
    build) echo "$elf" ;;
    run) exec ./run-qemu.sh "$elf" "$@" ;;
    # 2^7 ns an instruction: 1.6 periods of the 12.5 MHz clock of SysTick.
    count) QEMU_EXTRA="-icount shift=7,sleep=off" exec ./run-qemu.sh "$elf" "$@" ;;
    size) arm-none-eabi-size "$elf" ;;
    *) echo "unknown command $what" >&2; exit 2 ;;
esac
