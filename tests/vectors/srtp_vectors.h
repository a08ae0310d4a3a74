/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Published SRTP vectors as hex strings. Sources:
 *  - RFC 3711 appendix B.2 (AES-CM keystream) and B.3 (key derivation, labels 0..2);
 *  - labels 3..5 for B.3's master key: not printed in any document, computed with OpenSSL;
 *  - RFC 6188 section 7 (AES-192 and AES-256: keystream and key derivation), RFC 7714 sections 16 and 17 (AES-GCM);
 *  - whole packets: the reference packets of libsrtp 2.5.0's test/srtp_driver.c (values only); the _32 packet is
 *    the _80 packet with its tag cut, and the packet with ROC 1 was computed with OpenSSL.
 */
#ifndef SRTP_VECTORS_H
#define SRTP_VECTORS_H

#include <stddef.h>

#include "dp_msg.h"

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

/* AES-CM keystreams of all key sizes: RFC 3711 B.2, RFC 6188 s7.1 and s7.3. 'sha256' is of all 'len' bytes (computed). */
static const struct {
	const char *key, *salt, *first48, *last48, *sha256;
	unsigned int len;
} srtp_keystreams[] = {
	{"2b7e151628aed2a6abf7158809cf4f3c", "f0f1f2f3f4f5f6f7f8f9fafbfcfd",
	 "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
	 "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44",
	 "ef30edb0e50297a4802215c6dc0648af90722580a5ba63ddb65f3cbe10846ae5", 1044512},
	{"57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98", "f0f1f2f3f4f5f6f7f8f9fafbfcfd",
	 "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
	 "cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f",
	 "9c47203dcfe68fde664f68b8bf40514aa5faab0ab1e55c238b0ed596e13b7eba", 1044512},
	{"eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7", "f0f1f2f3f4f5f6f7f8f9fafbfcfd",
	 "35096cba4610028dc1b57503804ce37c5de986291dcce161d5165ec4568f5c9a474a40c77894bc17180202272a4c264d",
	 "d108d1a31a00bad6367ec23eb044b415c8f57129fdeb970b59f917b257662d4ca5dab625811034e8cebdfeb6dc158dd3",
	 "467f4a04d2bcda95b83c437ab9a75bac9e7c2b17db3e2939eeef31d0c251cbd4", 1044512},
};

/* Key derivation of RFC 6188 s7.2 and s7.4. */
static const struct {
	const char *key, *salt, *cipher_key, *cipher_salt, *auth_key;
} srtp_kdf6188[] = {
	{"f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2",
	 "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4", "fa31791685ca444a9e07c6c64e93",
	 "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"},
	{"73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1", "c8522f3acd4ce86d5add78edbb11",
	 "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb", "2372b82d639b6d8503a47adc0a6c",
	 "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb"},
};

/* Whole packets with key derivation, of libsrtp 2.5.0's test/srtp_driver.c: index 0x1234, SRTCP index 1. */
static const struct {
	const char *what;
	int suite, rtcp;
	const char *key, *salt, *plain, *wire;
	const char *session_key, *session_salt; /* NULL: not printed */
} srtp_derived[] = {
	{"AES_256_CM_HMAC_SHA1_80", DP_AES_256_CM_HMAC_SHA1_80, 0,
	 "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2",
	 "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabef1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b",
	 NULL, NULL},
	{"AEAD_AES_128_GCM", DP_AEAD_AES_128_GCM, 0,
	 "000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab",
	 "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
	 "077c6143cb221bc355ff23d5f984a16e", "9af3e95364ebac9c99c5a7c4"},
	{"AEAD_AES_128_GCM, SRTCP", DP_AEAD_AES_128_GCM, 1,
	 "000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab",
	 "81c8000bcafebabeabababababababababababababababab",
	 "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
	 "615dcd9042600666f6fd4d9e4fe4519f", "fcca937b9112a500dac72269"},
};

/* RFC 7714 s16 and s17: packets under a session key and salt. SRTCP's index is 0x5d4. */
static const struct {
	const char *what;
	int suite, rtcp, clear;
	const char *key, *salt, *plain, *wire;
} srtp_7714[] = {
	{"16.1.1", DP_AEAD_AES_128_GCM, 0, 0,
	 "000102030405060708090a0b0c0d0e0f", "517569642070726f2071756f",
	 "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20706172746573207472"
	 "6573",
	 "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf"
	 "8833899d7f27beb16a9152cf765ee4390cce"},
	{"16.2.1", DP_AEAD_AES_256_GCM, 0, 0,
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "517569642070726f2071756f",
	 "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20706172746573207472"
	 "6573",
	 "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799"
	 "b87b7aa3db36dfffd6b0f9bb7878d7a76c13"},
	{"17.1", DP_AEAD_AES_128_GCM, 1, 0,
	 "000102030405060708090a0b0c0d0e0f", "517569642070726f2071756f",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef",
	 "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded"
	 "0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"},
	{"17.2", DP_AEAD_AES_256_GCM, 1, 0,
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "517569642070726f2071756f",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef",
	 "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de047"
	 "6f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"},
	{"17.3", DP_AEAD_AES_128_GCM, 1, 1,
	 "000102030405060708090a0b0c0d0e0f", "517569642070726f2071756f",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef841dd9683dd78ec92ae58790125f62b3000005d4"},
	{"17.4", DP_AEAD_AES_256_GCM, 1, 1,
	 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "517569642070726f2071756f",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef",
	 "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef"
	 "deadbeef91db4afbfeee5a978fab4393ed2615fe000005d4"},
};

/* RFC 7714 s16.1.3 and s16.2.3: tagging only. No packet of SRTP is made so; the cipher alone can be held against it. */
static const struct {
	const char *key, *iv, *aad, *tag;
} srtp_7714_tagging[] = {
	{"000102030405060708090a0b0c0d0e0f", "51753c6580c2726f20718414",
	 "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20706172746573207472"
	 "6573",
	 "22493f82d2bce397e9d79e3b19aa4216"},
	{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "51753c6580c2726f20718414",
	 "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e20706172746573207472"
	 "6573",
	 "a866d5910f887463067ceefec45215d4"},
};

#endif
