#!/bin/sh
# run-qemu.sh ELF [ARGUMENT...]: runs an image on an emulated LM3S6965 (Cortex-M3, 256 KiB flash, 64 KiB
# RAM) and exits with the status that it ends with through semihosting; 124 if it is not done after
# $LIMIT seconds.
set -eu
elf=$1
shift
semi=enable=on,target=native
for a in "$@"; do semi="$semi,arg=$a"; done
# shellcheck disable=SC2086
exec timeout -k 2 "${LIMIT:-30}" qemu-system-arm -machine lm3s6965evb \
    -nographic -monitor none -serial none -nic user ${QEMU_EXTRA:-} \
    -semihosting-config "$semi" -kernel "$elf" </dev/null
