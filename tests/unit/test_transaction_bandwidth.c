/* SPDX-License-Identifier: Apache-2.0 */

/* What messages say of the host's capacity and of what tenants may do. */

#include "datapath/shaper_internal.h"
#include "switch_fixture.h"

#define MILLION 1000000ull

static void tell_host(struct fixture *fixture, uint64_t send, uint64_t receive)
{
	tell(fixture, PROTO_HOST_SET,
	     (struct proto_host){.send_capacity = send, .receive_capacity = receive});
}

/* What each weight gets of the capacities while nobody wants anything: all of them. */
static void assert_capacities(const struct fixture *fixture, uint64_t send, uint64_t receive)
{
	const struct shaper *shaper = fixture->state.shared.shaper;

	assert_true(shaper_share(shaper, SHAPER_TENANT_SEND) ==
		    (send == 0 ? UINT64_MAX : send << 16));
	assert_true(shaper_share(shaper, SHAPER_TENANT_RECEIVE) ==
		    (receive == 0 ? UINT64_MAX : receive << 16));
}

static void sets_the_hosts_capacity(void **state)
{
	struct fixture *fixture = *state;

	assert_capacities(fixture, 0, 0);
	begin(fixture, 1, 0);
	tell_host(fixture, 100 * MILLION, 200 * MILLION);
	tell_tenant(fixture, 0);
	assert_capacities(fixture, 0, 0);
	assert_int_equal(commit(fixture, 1), 0);
	assert_capacities(fixture, 100 * MILLION, 200 * MILLION);
	/* Whoever has no ceiling of its own has the capacity as one. */
	assert_int_equal(shaper_rate(fixture->state.shared.shaper, SHAPER_TENANT_SEND, 0),
			 100 * MILLION);
	/* A delta that does not speak of it leaves it alone; one that does changes it. */
	begin(fixture, 2, 1);
	tell_tenant(fixture, 1);
	assert_int_equal(commit(fixture, 2), 0);
	assert_capacities(fixture, 100 * MILLION, 200 * MILLION);
	begin(fixture, 3, 2);
	tell_host(fixture, 300 * MILLION, 0);
	assert_int_equal(commit(fixture, 3), 0);
	assert_capacities(fixture, 300 * MILLION, 0);
	/* What is refused changes nothing, and is forgotten. */
	begin(fixture, 4, 3);
	tell_host(fixture, 5 * MILLION, 5 * MILLION);
	tell(fixture, PROTO_TENANT_DEL, ref_of(7));
	assert_int_equal(commit(fixture, 4), ENOENT);
	begin(fixture, 4, 3);
	assert_int_equal(commit(fixture, 4), 0);
	assert_capacities(fixture, 300 * MILLION, 0);
	/* A whole configuration without it has none; outside a transaction it says nothing. */
	begin(fixture, 5, 0);
	tell_tenant(fixture, 0);
	assert_int_equal(commit(fixture, 5), 0);
	assert_capacities(fixture, 0, 0);
	tell_host(fixture, MILLION, MILLION);
	serve(fixture);
	assert_int_equal(fixture->result, 0);
	assert_capacities(fixture, 0, 0);
}

static struct shaper_limits limits_of(const struct fixture *fixture, enum shaper_kind kind,
				      uint32_t index)
{
	const struct shaper *shaper = fixture->state.shared.shaper;

	return gate_read_limits(&shaper->gates[gate_id(shaper, kind, index)]);
}

static void assert_limits(const struct fixture *fixture, const struct proto_tenant *tenant)
{
	uint32_t index = tenant->ref.index;
	struct shaper_limits send = limits_of(fixture, SHAPER_TENANT_SEND, index);
	struct shaper_limits receive = limits_of(fixture, SHAPER_TENANT_RECEIVE, index);

	assert_int_equal(send.rate, tenant->send_rate);
	assert_int_equal(send.min, tenant->send_min);
	assert_int_equal(send.burst, tenant->send_burst);
	assert_int_equal(send.weight, tenant->weight);
	assert_int_equal(receive.rate, tenant->receive_rate);
	assert_int_equal(receive.min, tenant->receive_min);
	assert_int_equal(receive.burst, tenant->receive_burst);
	assert_int_equal(receive.weight, tenant->weight);
	assert_int_equal(fixture->state.config->tenants[index].overhead, tenant->overhead);
}

static void sets_what_tenants_may_do(void **state)
{
	struct fixture *fixture = *state;
	struct proto_tenant nothing = {.ref = ref_of(0)}, tenant = {
								  .ref = ref_of(0),
								  .send_rate = 90 * MILLION,
								  .receive_rate = 80 * MILLION,
								  .send_min = 10 * MILLION,
								  .receive_min = 20 * MILLION,
								  .send_burst = 30000,
								  .receive_burst = 40000,
								  .weight = PROTO_WEIGHT_MAX,
								  .overhead = PROTO_OVERHEAD_MIN,
							  };

	begin(fixture, 1, 0);
	tell(fixture, PROTO_TENANT_SET, tenant);
	assert_int_equal(commit(fixture, 1), 0);
	assert_limits(fixture, &tenant);
	begin(fixture, 2, 1);
	tell(fixture, PROTO_TENANT_SET, nothing);
	assert_int_equal(commit(fixture, 2), 0);
	assert_limits(fixture, &nothing);
	tenant.overhead = PROTO_OVERHEAD_MAX;
	begin(fixture, 3, 2);
	tell(fixture, PROTO_TENANT_SET, tenant);
	assert_int_equal(commit(fixture, 3), 0);
	assert_limits(fixture, &tenant);
	/* Who comes after a tenant has nothing of it. */
	begin(fixture, 4, 3);
	tell(fixture, PROTO_TENANT_DEL, tenant.ref);
	assert_int_equal(commit(fixture, 4), 0);
	nothing.ref.incarnation += 100;
	begin(fixture, 5, 4);
	tell(fixture, PROTO_TENANT_SET, nothing);
	assert_int_equal(commit(fixture, 5), 0);
	assert_limits(fixture, &nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sets_the_hosts_capacity),
		TEST(sets_what_tenants_may_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
