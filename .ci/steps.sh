#!/usr/bin/env bash
# The steps of .ci/run, one function each: bash .ci/steps.sh NAME. Lines that begin with a star are shown
# even when all is well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The interoperability lab, the instruction counter, and Debian's Rust, which has the sources of `core`.
PACKAGES="kamailio kamailio-presence-modules kamailio-sqlite-modules kamailio-tls-modules sip-tester tshark sqlite3
	openssl python3 valgrind libxml2-utils gcc g++ libc6-dev pkg-config binutils"
FIRMWARE_PACKAGES="rustc-web cargo-web rust-web-src rust-web-llvm lld-22 binutils-arm-none-eabi qemu-system-arm"
FUZZ_SECONDS=${FUZZ_SECONDS:-5}

say() { echo "* $*"; }

step_install() {
	local package missing=()
	for package in $PACKAGES $FIRMWARE_PACKAGES; do
		[ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	if [ ${#missing[@]} -gt 0 ]; then
		say "installing ${missing[*]}"
		apt-get update -qq
		apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
	fi
	if ! cargo fuzz --version >/dev/null 2>&1; then
		say "installing cargo-fuzz"
		cargo install cargo-fuzz --version 0.13.2 --locked
	fi
	say "$(rustc --version), $(rustc +nightly --version), firmware: $(/usr/bin/rustc --version)"
}

step_fmt() {
	cargo fmt --check
	local package
	for package in firmware fuzz benches/peers; do
		[ ! -f $package/Cargo.toml ] || cargo fmt --check --manifest-path $package/Cargo.toml
	done
}

step_test() {
	local log=$CI_LOGS/test.out good bad
	cargo test 2>&1 | tee "$log"
	good=$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$log" | paste -sd+ | bc_)
	bad=$(sed -n 's/^test result: .* \([0-9]*\) failed.*/\1/p' "$log" | paste -sd+ | bc_)
	[ "$good" -gt 0 ] || { echo "no test ran"; return 1; }
	echo "$good $bad" >"$CI_LOGS/count.test"
	say "cargo test: $good passed, $bad failed"
}

step_schemas() {
	local schema=tests/schemas/rfc4354-poc-settings.xsd folder=$CI_LOGS/documents file edit count
	mkdir -p "$folder"
	OMA_IM_DOCUMENTS=$folder cargo test --test content documents_are_left_for_a_validator
	count=$(find "$folder" -name 'settings-*.xml' | wc -l)
	[ "$count" -gt 300 ] || { echo "only $count settings documents"; return 1; }
	# the schema imports one from the web that nothing of it uses
	xmllint --nonet --noout --schema $schema "$folder"/settings-*.xml 2>"$CI_LOGS/xmllint" ||
		{ grep -v ' validates$' "$CI_LOGS/xmllint"; return 1; }
	[ "$(grep -c ' validates$' "$CI_LOGS/xmllint")" = "$count" ]
	# the validator sees what is wrong: no id, a value that is none, barring behind the answer mode
	file=$(grep -l answer-mode "$folder"/settings-*.xml | xargs grep -l personal-alert | tail -n 1)
	for edit in 's/ id=/ x=/' 's/active="[a-z]*"/active="no"/' \
		's/ipab-settings/isb-settings/; s/incoming-personal-alert-barring/incoming-session-barring/'; do
		sed "$edit" "$file" >"$folder/wrong.xml"
		! xmllint --nonet --noout --schema $schema "$folder/wrong.xml" 2>/dev/null ||
			{ echo "valid after $edit"; return 1; }
	done
	say "$count settings documents are valid by the schema of RFC 4354"
}

step_faults() {
	OMA_IM_RUNS=${OMA_IM_RUNS:-10000} cargo test --release --test faults -- --nocapture 2>&1 | tee "$CI_LOGS/faults.out"
	grep -q '^\* faults: ' "$CI_LOGS/faults.out"
}

# sums lines like 1+2+3
bc_() { local sum; read -r sum || sum=0; echo $((${sum:-0})); }

step_clippy() {
	cargo clippy --all-targets --all-features -- -D warnings
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features --lib -- -D warnings
}

step_features() {
	local feature
	for feature in alloc std log defmt deflate arbitrary testkit; do
		echo "-- $feature"
		cargo clippy --lib --no-default-features --features $feature -- -D warnings
	done
	echo "-- none, all"
	cargo clippy --lib --no-default-features -- -D warnings
	cargo clippy --lib --all-features -- -D warnings
	# What the library takes in without features: the four crates of the core and nothing that they
	# could not do without an allocator.
	cargo tree -e normal --no-default-features --prefix none --depth 1 -f '{lib}' | sed 1d | sort >"$CI_LOGS/tree"
	diff - "$CI_LOGS/tree" <<-T || { echo "the dependencies of the core have changed"; return 1; }
		heapless
		md5
		rand_chacha
		sha2
	T
}

step_doc() {
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib --all-features
}

step_firmware() {
	FW_QUIET=1 firmware/check.sh
}

step_counts() {
	cd benches/peers
	# the references and this crate, without the peers
	cargo build --release --no-default-features
	./counts.sh
}

step_fuzz() {
	local target runs
	# without the sanitizer: the crate has no unsafe code, and this is nine times as fast
	(cd fuzz && cargo +nightly fuzz build -O -s none)
	for target in $(cd fuzz && cargo +nightly fuzz list); do
		[ -d "fuzz/seeds/$target" ] || { echo "no seeds for $target"; return 1; }
		mkdir -p "fuzz/corpus/$target"
		(cd fuzz && cargo +nightly fuzz run -O -s none "$target" "corpus/$target" "seeds/$target" -- \
			-max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1) 2>&1 | tee "$CI_LOGS/fuzz.$target"
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$CI_LOGS/fuzz.$target")
		say "$target: ${runs:-0} runs on $(find "fuzz/seeds/$target" -type f | wc -l) seeds"
		[ "${runs:-0}" -gt 0 ]
	done
}

step_interop() {
	tests/interop/run --count "$CI_LOGS/count.interop" | sed 's/^/* /'
}

"step_${1:?name of a step}"
