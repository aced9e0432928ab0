/* SPDX-License-Identifier: Apache-2.0 */
/* The table of drop reasons: complete, unambiguous, and readable. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/drop.h"

static void every_reason_has_its_own_name(void **state)
{
	(void)state;
	for (unsigned reason = 0; reason < DROP_REASON_COUNT; reason++) {
		const char *name = drop_name(reason);

		assert_non_null(name);
		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
		for (unsigned other = 0; other < reason; other++)
			assert_string_not_equal(name, drop_name(other));
	}
}

static void every_explanation_is_a_sentence(void **state)
{
	(void)state;
	for (unsigned reason = 0; reason < DROP_REASON_COUNT; reason++) {
		const char *text = drop_explanation(reason);

		assert_non_null(text);
		assert_in_range(text[0], 'A', 'Z');
		assert_ptr_equal(strchr(text, '.'), text + strlen(text) - 1);
		assert_null(strstr(text, "  "));
		for (unsigned other = 0; other < reason; other++)
			assert_string_not_equal(text, drop_explanation(other));
	}
}

static void names_that_users_know(void **state)
{
	(void)state;
	assert_string_equal(drop_name(DROP_NO_BUFFER), "no-buffer");
	assert_string_equal(drop_name(DROP_BAD_OFFLOAD), "bad-offload");
	assert_string_equal(drop_name(DROP_VNI_UNKNOWN), "vni-unknown");
	assert_string_equal(drop_name(DROP_OVERLAY_LOOP), "overlay-loop");
	assert_string_equal(drop_name(DROP_TENANT_SEND_QUEUE), "tenant-send-queue");
	assert_string_equal(drop_name(DROP_PORT_RECEIVE_QUEUE), "port-receive-queue");
	assert_string_equal(drop_name(DROP_RESTART), "restart");
}

static void what_is_not_known_is_named_so(void **state)
{
	(void)state;
	assert_string_equal(drop_name(DROP_REASON_COUNT), "unknown");
	assert_string_equal(drop_name(UINT32_MAX), "unknown");
	assert_non_null(strstr(drop_explanation(DROP_REASON_COUNT), "version"));
	assert_ptr_equal(drop_explanation(UINT32_MAX), drop_explanation(DROP_REASON_COUNT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_its_own_name),
		cmocka_unit_test(every_explanation_is_a_sentence),
		cmocka_unit_test(names_that_users_know),
		cmocka_unit_test(what_is_not_known_is_named_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
