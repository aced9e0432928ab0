/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_FUZZ_H
#define VSWITCH_TESTS_FUZZ_H

/*
 * What every fuzz target defines. libFuzzer calls it with inputs that it makes
 * up, corpus_replay.c with the files of the target's corpus.
 */

#include <stddef.h>
#include <stdint.h>

/* Returns 0; what must not be, it ends with abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
