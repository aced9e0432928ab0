/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VSWITCH_COMMON_PCI_H
#define VSWITCH_COMMON_PCI_H

#include <ctype.h>
#include <stddef.h>

/*
 * The length of the PCI address that a text begins with, alone or before a comma: domain, bus,
 * device and function in hexadecimal, as in 0000:00:04.0. 0 when it begins with none.
 */
static inline size_t pci_address_size(const char *text)
{
	static const char form[] = "xxxx:xx:xx.x";
	size_t i;

	for (i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != form[i])
			return 0;
	}
	if (text[i - 1] > '7' || text[8] > '1')
		return 0;
	return text[i] == '\0' || text[i] == ',' ? i : 0;
}

#endif
