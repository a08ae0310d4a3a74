/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones showed in a Troubleshoot operation, as files that an operator can read: FOLDER/SEP001122334455-LSC.pem and -MIC.pem, one
 * per kind (004b:CAPF-15), the certificate as text and in PEM. Written in one piece, any thread.
 */
#ifndef CP_ENROL_CAPFFILE_H
#define CP_ENROL_CAPFFILE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

/** 'kind': enum cp_capf_cert_type; others are "other". The folder is made if need be (0700). 0, or negative errno with 'why'. */
int cp_capf_file_write(const char *folder, const char *device, unsigned kind, X509 *cert, char *why, size_t size);

/** The path such a file has. Returns its length, or -ENAMETOOLONG. */
int cp_capf_file_path(const char *folder, const char *device, unsigned kind, char *ret, size_t size);

#endif
