# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The pipeline by itself, over memory ports: pipeline_bench measures nanoseconds, pipeline_instructions counts
# instructions, and what both say goes into the table.

path_pipeline() {
	local program=$LAB_BUILD/tests/bench/pipeline_bench file=$LAB_DIR/pipeline.json quick=()
	if [ ! -x "$program" ]; then
		absent pipeline switch "this build has no pipeline_bench"
		return
	fi
	[ "$SMOKE" = no ] || quick=(--smoke)
	"$program" --json "$file" "${quick[@]}" >"$LAB_DIR/pipeline.log" || die "pipeline_bench"
	# Instructions are the same in each run; valgrind takes its time.
	if [ "$SMOKE" = no ]; then
		"$BENCH/pipeline_instructions" --build "$LAB_BUILD" --json "$file" >"$LAB_DIR/instructions.log" 2>&1 ||
			fail "pipeline_instructions"
	fi
	record pipeline data="$(jq -c . "$file")"
}
