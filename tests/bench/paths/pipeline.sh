# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The pipeline by itself, over memory ports: pipeline_bench measures, and what it says goes into the table.

path_pipeline() {
	local bench=$LAB_BUILD/tests/bench/pipeline_bench options=(--json) output
	if [ ! -x "$bench" ]; then
		absent pipeline switch "this build has no pipeline_bench"
		return
	fi
	[ "$SMOKE" = no ] || options+=(--smoke)
	if output=$("$bench" "${options[@]}"); then
		record '{kind: "pipeline", data: $data}' --argjson data "$output"
	else
		fail "pipeline_bench"
	fi
}
