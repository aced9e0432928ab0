/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_TESTS_UNIT_EFFORT_H
#define VSWITCH_TESTS_UNIT_EFFORT_H

/*
 * EFFORT(n): how often a test does at random what it would do n times. A fifth where a sanitizer
 * makes each step five times slower: what it looks for comes early, what the steps may do wrong a
 * build without it has looked for.
 */

#if defined(__SANITIZE_ADDRESS__)
#define EFFORT(full) ((full) / 5)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EFFORT(full) ((full) / 5)
#endif
#endif
#ifndef EFFORT
#define EFFORT(full) (full)
#endif

#endif
