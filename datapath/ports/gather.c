/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ports/gather.h"

#include <errno.h>
#include <string.h>

unsigned gather_packet(const struct packet *packet, struct iovec *iov)
{
	unsigned count = 0;

	iov[count++] = (struct iovec){packet->data, packet->head_size};
	for (unsigned i = 0; i < packet->slice_count; i++)
		iov[count++] =
			(struct iovec){(void *)packet->slices[i].data, packet->slices[i].size};
	return count;
}

unsigned gather_with_header(struct packet *packet, struct iovec *iov)
{
	unsigned count = gather_packet(packet, iov);
	uint8_t *header = packet->data - sizeof(packet->offload);

	memcpy(header, &packet->offload, sizeof(packet->offload));
	iov[0] = (struct iovec){header, sizeof(packet->offload) + packet->head_size};
	return count;
}

enum drop_reason gather_drop_reason(int error)
{
	switch (error) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return DROP_PORT_FULL;
	case EIO: /* a TAP that is down */
	case ENETDOWN:
		return DROP_PORT_DOWN;
	case EBADFD:
	case ENXIO:
	case ENODEV:
		return DROP_PORT_GONE;
	case EMSGSIZE:
		return DROP_OVERSIZE;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return DROP_NO_ROUTE;
	default:
		return DROP_PORT_ERROR;
	}
}
