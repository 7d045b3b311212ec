#!/bin/bash
# Builds the images, runs them under QEMU and compares what they take with the tables of README.md: a
# figure may grow by 5 % before it has to be written down. Lines that begin with a star are figures.
#
#   ./check.sh            fails if an image does not build, link or end as it must, or if a figure has grown
#   BLESS=1 ./check.sh    writes the tables
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# That they compile proves that nothing reaches an allocator.
echo "== what the steps take"
for image in link client; do
	./fw.sh count $image | tee "$work/$image"
done

# What `reach` leaves out it does not prove.
sed -n '/^impl<S: Storage> Client<S> {$/,/^}$/s/^    pub \(const \)\{0,1\}fn \([a-z_]*\).*/\2/p' ../src/client/mod.rs >"$work/methods"
grep -qx poll_output "$work/methods"
while read -r method; do
	grep -Eq "(client\.|Client::)$method\(" src/bin/reach.rs || { echo "reach does not call Client::$method" >&2; exit 1; }
done <"$work/methods"

# That they link with `no-panic` proves that no panic is reachable; that they do not link with one
# planted, that it would be noticed.
for image in link client reach; do
	echo "== $image: no panic is reachable"
	[ $image = reach ] || FW_FEATURES=no-panic ./fw.sh run $image
	FW_FEATURES=no-panic ./fw.sh size $image >"$work/sections"
	awk 'NR == 2 { print $1 + $2, $2 + $3 }' "$work/sections" >"$work/size.$image"
	# The initial value of a `Small` is all zeros: a `static` one lies in .bss and takes no flash.
	awk 'NR == 2 { exit $2 > 0 }' "$work/sections" || { echo "$image: data that is not zero" >&2; cat "$work/sections" >&2; exit 1; }
	if FW_FEATURES=no-panic,planted-panic ./fw.sh build $image >"$work/log" 2>&1; then
		echo "$image: the planted panic was not noticed" >&2
		exit 1
	fi
	grep -q a_panic_is_reachable "$work/log" || { cat "$work/log" >&2; exit 1; }
	echo "* $image: no panic is reachable; one that was planted is noticed"
done

{
	echo "| image | flash | RAM | stack |"
	echo "|---|---|---|---|"
	for image in link client; do
		stack=$(sed -n 's/.*stack \([0-9]*\) bytes.*/\1/p' "$work/$image")
		read -r flash ram <"$work/size.$image"
		echo "| \`$image\` | $flash | $ram | ${stack:?} |"
	done
	echo
	echo "| step | instructions |"
	echo "|---|---|"
	sed -n 's/^step: \(.*\): \([0-9]*\) instructions$/| \1 | \2 |/p' "$work/link" "$work/client"
} | sed -E ':more; s/([0-9])([0-9]{3})( |,)/\1,\2\3/; t more' >"$work/tables"
sed -n '/^| .*[0-9]/s/^/* /p' "$work/tables"

sed -n '/^<!-- figures -->$/,/^<!-- end -->$/p' README.md | sed '1d;$d' >"$work/kept"
if [ -n "${BLESS:-}" ]; then
	sed -i -e "/^<!-- figures -->\$/r $work/tables" -e '/^<!-- figures -->$/,/^<!-- end -->$/{/^<!-- /!d}' README.md
	exit
fi
# Row by row: the same names, and no number that is more than 5 % above the one that is kept.
paste -d '\n' "$work/kept" "$work/tables" | tr -d ',`' | awk -F ' *[|] *' '
	NR % 2 { kept = $0; next }
	{
		n = split(kept, old, / *[|] */)
		if (n != NF || old[2] != $2) { print "README.md has \"" kept "\" where this is: " $0; bad = 1; next }
		for (i = 3; i < NF; i++) if ($i ~ /^[0-9]/ && old[i] * 1.05 < $i) { print $2 ": " old[i] " are kept, now " $i; bad = 1 }
	}
	END { exit bad }' || {
	echo "Make it smaller, or write the figures down: BLESS=1 firmware/check.sh" >&2
	exit 1
}
