/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Published SRTP vectors as hex strings. Sources:
 *  - RFC 3711 appendix B.2 (AES-CM keystream) and B.3 (key derivation, labels 0..2);
 *  - labels 3..5 for B.3's master key: not printed in any document, computed with OpenSSL;
 *  - whole packets: the reference packets of libsrtp 2.5.0's test/srtp_driver.c (values only); the _32 packet is
 *    the _80 packet with its tag cut, and the packet with ROC 1 was computed with OpenSSL.
 */
#ifndef SRTP_VECTORS_H
#define SRTP_VECTORS_H

static const struct {
	const char *key, *salt;
	const char *first48, *last48;
	unsigned int len;
} srtp_b2 = {
	"2b7e151628aed2a6abf7158809cf4f3c",
	"f0f1f2f3f4f5f6f7f8f9fafbfcfd",
	"e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
	"ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44",
	1044512,
};

static const char srtp_b3_key[] = "e1f97a0d3e018be0d64fa32c06de4139";
static const char srtp_b3_salt[] = "0ec675ad498afeebb6960b3aabe6";

static const struct {
	int label;
	const char *out;
} srtp_b3[] = {
	{0, "c61e7a93744f39ee10734afe3ff7a087"},
	{2, "30cbbc08863d8c85d49db34a9ae1"},
	{1, "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef7227098"
	    "6371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2"},
	{3, "4c1aa45a81f73d61c800bbb00fbb1eaa"},
	{4, "8d54534feb49ae8e7993a6bd0b844fc323a93dfd"},
	{5, "9581c7ad87b3e530bf3e4454a8b3"},
};

/* All under srtp_b3_key and srtp_b3_salt. */
static const struct {
	const char *what;
	int suite;                  /* 1: _80, 2: _32 */
	unsigned long long before;  /* index that the stream stands at; 0: fresh */
	const char *plain, *wire;
} srtp_packets[] = {
	{"AES_CM_128_HMAC_SHA1_80, ROC 0", 1, 0,
	 "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"},
	{"AES_CM_128_HMAC_SHA1_32, ROC 0", 2, 0,
	 "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc"},
	{"AES_CM_128_HMAC_SHA1_80, ROC 1, SEQ 1", 1, 0x10000,
	 "800f0001decafbaecafebabeabababababababababababababababab",
	 "800f0001decafbaecafebabeb6f1f0a458a238ac3d2f55ac6566b25ce27446eda14e1a11171a"},
};

static const struct {
	const char *plain, *wire;
} srtcp_packet = { /* index 1 */
	"81c8000bcafebabeabababababababababababababababab",
	"81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
};

#endif
