#!/bin/sh
# usage: ./run.sh [extra peerbench args]    (run from this folder, after cargo build --release)
# Times, allocation counts and callgrind instruction counts; writes run/*.tsv and run/tables.md.
set -e
B=./target/release/peerbench R=run
command -v valgrind >/dev/null || { echo "run.sh: valgrind is not installed, see ../README.md" >&2; exit 1; }
rm -rf $R && mkdir -p $R/cg
for i in 1 2 3; do "$B" "$@" > $R/time$i.tsv; done
valgrind --tool=callgrind --callgrind-out-file=$R/cg/out "$B" "$@" > $R/cg.tsv 2> $R/cg.log
ls $R/cg/out.* >/dev/null 2>&1 || { echo "run.sh: no counts. Was it built before valgrind was installed? touch c/alloc_count.c, build again" >&2; exit 1; }
# every dump: "desc: Trigger: Client Request: <contestant>|<op>|<msg>" and "totals: <Ir of 20 runs>"
for f in $R/cg/out.*; do
  awk '/^desc: Trigger: Client Request:/ {sub(/^desc: Trigger: Client Request: /,""); t=$0} /^(totals|summary):/ {s=$2} END {if (t) {split(t,a,"|"); printf "%s\t%s\t%s\t%.0f\n", a[1],a[2],a[3],s/20}}' "$f"
done > $R/instr.tsv
rm -rf $R/cg
python3 report.py
