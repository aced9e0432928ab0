/* SPDX-License-Identifier: Apache-2.0 */
#include "common/capture.h"

#include <byteswap.h>
#include <errno.h>
#include <string.h>

#define MAGIC_MICROSECONDS 0xa1b2c3d4u
#define MAGIC_NANOSECONDS  0xa1b23c4du
#define MAGIC_PCAPNG	   0x0a0d0d0au /* reads the same in both byte orders */
#define VERSION_MAJOR	   2u
#define LINK_TYPE_ETHERNET 1u

struct header {
	uint32_t magic;
	uint16_t version_major, version_minor;
	uint32_t reserved[2];
	uint32_t snapshot;
	uint32_t link_type; /* and whether an FCS is there, in the upper bits */
};
_Static_assert(sizeof(struct header) == CAPTURE_HEADER_SIZE, "as in the file");

static bool is_magic(uint32_t magic)
{
	return magic == MAGIC_MICROSECONDS || magic == MAGIC_NANOSECONDS;
}

int capture_check(const uint8_t *octets, size_t size)
{
	struct header header = {0};
	bool swapped;

	memcpy(&header, octets, size < sizeof(header) ? size : sizeof(header));
	if (size >= sizeof(header.magic) && header.magic == MAGIC_PCAPNG)
		return -EPROTONOSUPPORT;
	swapped = is_magic(bswap_32(header.magic));
	if (size >= sizeof(header.magic) && !swapped && !is_magic(header.magic))
		return -EBADMSG;
	if (size < sizeof(header))
		return -ENODATA;
	if ((swapped ? bswap_16(header.version_major) : header.version_major) != VERSION_MAJOR)
		return -EBADMSG;
	if ((swapped ? bswap_32(header.link_type) : header.link_type) != LINK_TYPE_ETHERNET)
		return -EMEDIUMTYPE;
	return 0;
}

bool capture_is_recording(const uint8_t *octets, size_t size)
{
	uint32_t magic = MAGIC_NANOSECONDS;

	return capture_check(octets, size) == 0 && memcmp(octets, &magic, sizeof(magic)) == 0;
}
