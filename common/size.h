/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_SIZE_H
#define VSWITCH_COMMON_SIZE_H

/*
 * Sizes in octets as tc(8) reads them: a decimal number and a unit. b is
 * octets, k or kb 1024 of them, m or mb 1024 k, g or gb 1024 m; kbit, mbit and
 * gbit are an eighth of these; without a unit it is octets. Units are read
 * without regard to case. Pure functions.
 */

#include <stdint.h>

#define SIZE_TEXT_SIZE	24
#define SIZE_OCTETS_MIN 1ull
#define SIZE_OCTETS_MAX UINT32_MAX /* as much as tc takes */

/*
 * Parses the whole text into octets; "none" is 0, which is for a default. Returns 0, -EINVAL for
 * ill-formed text, or -ERANGE for what is outside SIZE_OCTETS_MIN to SIZE_OCTETS_MAX; the output
 * is then untouched.
 */
int size_parse(const char *text, uint64_t *octets);

/* Writes a text that size_parse() reads as the same size: "64kb", "1500b"; "none" for 0. Returns
 * text. */
char *size_format(uint64_t octets, char text[SIZE_TEXT_SIZE]);

#endif
