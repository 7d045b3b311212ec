#!/usr/bin/env bash
# Counts the instructions of this crate's operations and compares them with the table of ../README.md:
# fails if one has grown by more than 5 %. Run from this folder, after cargo build --release.
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$out/cg" ./target/release/peerbench --only=oma-im >"$out/rows" 2>"$out/log"
for dump in "$out"/cg.*; do
	awk '/^desc: Trigger: Client Request:/ {sub(/^.*Request: oma-im\|/, ""); sub(/\|/, " "); name = $0}
		/^(totals|summary):/ {sum = $2} END {if (name) printf "%s %.0f\n", name, sum / 20}' "$dump"
done >"$out/counts"
# 0 heap calls in every operation, and no deep checksum that differs
awk -F'\t' 'NR > 1 && ($10 != 0 || $6 ~ /differs|REJECT|PANIC/) {print "oma-im " $3 " " $4 ": " $6 ", " $10 " heap calls"; bad = 1}
	END {exit bad}' "$out/rows"
checked=0 grown=0
while read -r op message kept; do
	now=$(awk -v op="$op" -v message="$message" '$1 == op && $2 == message {print $3}' "$out/counts")
	[ -n "$now" ] || { echo "$op $message was not counted"; exit 1; }
	echo "$op $message: $now instructions, $kept kept"
	checked=$((checked + 1))
	if [ $((now * 100)) -gt $((kept * 105)) ]; then
		echo "$op $message has grown by more than 5 %"
		grown=1
	fi
done < <(sed -n 's/^| \([a-z_0-9]*\) \([a-z_]*\) | \([0-9,]*\) | .*/\1 \2 \3/p' ../README.md | tr -d ,)
[ $checked = 7 ] || { echo "the table of ../README.md has $checked figures, not 7"; exit 1; }
exit $grown
