#!/usr/bin/env bash
# Counts the instructions of this crate's operations, and fails
# - if one has grown by more than 5 % over its figure in a table of ../README.md,
# - if one calls the heap, or a message is not read as it should be,
# - if a parser needs more than 13 times the instructions for 10 times the bytes.
# Run from this folder, after cargo build --release --no-default-features.
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The instructions of each dump that a run of the bench leaves: what was run, and the sum of `$1` runs.
count() {
	local times=$1 dump
	shift
	valgrind --tool=callgrind --callgrind-out-file="$out/cg" ./target/release/peerbench "$@" >"$out/rows" 2>"$out/log"
	for dump in "$out"/cg.*; do
		awk -v times="$times" '/^desc: Trigger: Client Request:/ {sub(/^.*Request: [a-z-]*\|/, ""); sub(/\|/, " "); name = $0}
			/^(totals|summary):/ {sum = $2} END {if (name) printf "%s %.0f\n", name, sum / times}' "$dump"
	done >"$out/counts"
	rm -f "$out"/cg*
}

failed=0

count 20 --only=oma-im
awk -F'\t' 'NR > 1 && ($10 != 0 || $6 ~ /differs|REJECT|PANIC/) {print "oma-im " $3 " " $4 ": " $6 ", " $10 " heap calls"; bad = 1}
	END {exit bad}' "$out/rows"
checked=0
while read -r op case kept; do
	now=$(awk -v op="$op" -v of="$case" '$1 == op && $2 == of {print $3}' "$out/counts")
	[ -n "$now" ] || { echo "$op $case was not counted"; exit 1; }
	echo "$op $case: $now instructions, $kept kept"
	checked=$((checked + 1))
	if [ $((now * 100)) -gt $((kept * 105)) ]; then
		echo "$op $case has grown by more than 5 %"
		failed=1
	fi
done < <(sed -n 's/^| \([a-z_0-9]*\) \([a-z_]*\) | \([0-9,]*\) |.*/\1 \2 \3/p' ../README.md | tr -d ,)
[ $checked = 13 ] || { echo "the tables of ../README.md have $checked figures, not 13"; exit 1; }

count 1 --growth
if grep REJECT "$out/rows"; then
	echo "a parser refused what it should read"
	failed=1
fi
sort -k1,1 -k2,2n "$out/counts" | awk '
	$1 == family && $3 * bytes > 1.3 * $2 * sum {print family ": " sum " instructions for " bytes " bytes, " $3 " for " $2; bad = 1}
	{family = $1; bytes = $2; sum = $3; runs++}
	$3 / $2 > most {most = $3 / $2; slowest = $1}
	END {
		if (runs < 3) {print "no growth was counted"; bad = 1}
		if (!bad) printf "* work grows with the bytes in %d parsers; at most %.0f instructions a byte (%s)\n", runs / 3, most, slowest
		exit bad
	}' || failed=1
[ $failed = 0 ] && echo "* $checked operations within 5 % of their figures"
exit $failed
