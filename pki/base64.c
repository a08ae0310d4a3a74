/* SPDX-License-Identifier: BSD-3-Clause */
#include "base64.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define BYTES_MAX (1u << 30)

int pki_base64_decode(const char *text, size_t len, size_t max, uint8_t **ret, size_t *ret_len)
{
	size_t pad = 0, room = len / 4 * 3;
	uint8_t *data;

	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	if (len % 4 != 0)
		return -EBADMSG;
	if (room - pad > max || room > BYTES_MAX)
		return -EMSGSIZE;
	/* EVP_DecodeBlock() passes over white space at the ends, and reads '=' anywhere as zero bits */
	for (size_t i = 0; i < len - pad; i++)
		if (text[i] == '\0' || strchr(ALPHABET, text[i]) == NULL)
			return -EBADMSG;
	data = malloc(room + 1);
	if (data == NULL)
		return -ENOMEM;
	if (len > 0 && EVP_DecodeBlock(data, (const unsigned char *)text, (int)len) != (int)room) {
		OPENSSL_cleanse(data, room);
		free(data);
		return -EBADMSG;
	}
	*ret = data;
	*ret_len = room - pad;
	return 0;
}

char *pki_base64_encode(const uint8_t *data, size_t len)
{
	char *text = len <= BYTES_MAX ? malloc((len + 2) / 3 * 4 + 1) : NULL;

	if (text != NULL) {
		text[0] = '\0';
		if (len > 0)
			EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	}
	return text;
}
