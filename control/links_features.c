/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/links_internal.h"
#include "control/namespaces.h"

/*
 * What a packet socket cannot hand over: its virtio-net header knows neither the inner headers of a
 * tunnel, nor SCTP's checksum, which is no Internet checksum, nor lists of packets. The workload's
 * kernel does these itself before the packet leaves it, and TCP and UDP as ever.
 */
static const char *const features_off[] = {
	"tx-gre-segmentation",	  "tx-gre-csum-segmentation", "tx-ipxip4-segmentation",
	"tx-ipxip6-segmentation", "tx-udp_tnl-segmentation",  "tx-udp_tnl-csum-segmentation",
	"tx-sctp-segmentation",	  "tx-checksum-sctp",	      "tx-gso-list",
	"tx-esp-segmentation",
};

static int ethtool(int fd, const char *ifname, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int count_features(int fd, const char *ifname, uint32_t *count)
{
	struct ethtool_sset_info *query = calloc(1, sizeof(*query) + sizeof(query->data[0]));
	int error;

	if (query == NULL)
		return -ENOMEM;
	query->cmd = ETHTOOL_GSSET_INFO;
	query->sset_mask = 1ull << ETH_SS_FEATURES;
	error = ethtool(fd, ifname, query);
	if (error == 0)
		*count = query->sset_mask != 0 ? query->data[0] : 0;
	free(query);
	return error;
}

static bool is_off(const char *name)
{
	for (size_t i = 0; i < sizeof(features_off) / sizeof(features_off[0]); i++)
		if (strncmp(name, features_off[i], ETH_GSTRING_LEN) == 0)
			return true;
	return false;
}

static int switch_off(int fd, const char *ifname, uint32_t count)
{
	uint32_t blocks = (count + 31) / 32;
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + count * ETH_GSTRING_LEN);
	struct ethtool_sfeatures *change =
		calloc(1, sizeof(*change) + blocks * sizeof(change->features[0]));
	int error = -ENOMEM;

	if (names == NULL || change == NULL)
		goto done;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	error = ethtool(fd, ifname, names);
	if (error < 0)
		goto done;
	change->cmd = ETHTOOL_SFEATURES;
	change->size = blocks;
	for (uint32_t i = 0; i < count && i < names->len; i++)
		if (is_off((const char *)names->data + (size_t)i * ETH_GSTRING_LEN))
			change->features[i / 32].valid |= 1u << i % 32;
	error = ethtool(fd, ifname, change);
done:
	free(names);
	free(change);
	return error;
}

static int limit(void *context)
{
	const char *ifname = context;
	uint32_t count = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = count_features(fd, ifname, &count);
	if (error == 0 && count > 0)
		error = switch_off(fd, ifname, count);
	close(fd);
	return error;
}

int links_features_limit(struct links *links, int netns, const char *ifname)
{
	return namespaces_run(links->namespaces, netns, limit, (void *)ifname);
}
