#!/bin/sh
# Builds the images and runs them under QEMU. That they compile proves that nothing reaches an
# allocator; that they link with `no-panic` proves that no panic is reachable. Both proofs are
# tried on a planted fault as well. Lines that begin with a star are figures.
set -eu
cd "$(dirname "$0")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "== link"
./fw.sh count link | tee "$log"
sed -n 's/^parse: /* link: parse takes /p' "$log"
./fw.sh size link | awk 'NR == 2 { print "* link: flash " $1 + $2 " bytes, RAM " $2 + $3 " bytes and the stack" }'

echo "== client"
./fw.sh count client | tee "$log"
sed -n 's/^step: /* client: /p; s/^client: /* client: /p' "$log"
./fw.sh size client | awk 'NR == 2 { print "* client: flash " $1 + $2 " bytes, RAM " $2 + $3 " bytes and the stack" }'

echo "== no panic is reachable"
FW_FEATURES=no-panic ./fw.sh run link
if FW_FEATURES=no-panic,planted-panic ./fw.sh build link >"$log" 2>&1; then
    echo "the planted panic was not noticed" >&2
    exit 1
fi
grep -q a_panic_is_reachable "$log" || { cat "$log" >&2; exit 1; }
echo "* link: no panic is reachable"
