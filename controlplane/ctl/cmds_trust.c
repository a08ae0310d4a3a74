/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates, trust lists, administrators of the CTL provider, signed files. */
#include "table.h"

static const struct ctl_opt cert_opts[] = {
	{"--out", "DIR", CTL_LOCAL, NULL, NULL, true, "directory for NAME.pem (key and certificate) and ca.pem"},
	END,
};
static const struct ctl_opt upload_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, true,
	 "CallManager-trust, CAPF-trust, TVS-trust, IPsec-trust, HTTPS-trust, Phone-Edge-trust or directory-trust"},
	END,
};
static const struct ctl_opt store_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, false, "only of this trust store; own: our own"},
	END,
};

#define STRAND_OPT {"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will not find back"}
#define KEY_OPT                                                                                    \
	{"--key", "KIND", CTL_STR, "key", NULL, false,                                              \
	 "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, or the pkcs11: URI of one in a token (default: the kind it has)"}
static const struct ctl_opt regenerate_opts[] = {
	KEY_OPT,
	STRAND_OPT,
	END,
};
static const struct ctl_opt csr_opts[] = {
	KEY_OPT,
	{"--der", NULL, CTL_LOCAL, NULL, NULL, false, "DER instead of PEM"},
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, false, "into a file"},
	END,
};
static const struct ctl_opt export_opts[] = {
	{"--store", "STORE", CTL_STR, "store", NULL, false, "only of this trust store; own: our own"},
	{"--der", NULL, CTL_LOCAL, NULL, NULL, false, "DER instead of PEM"},
	{"--out", "FILE", CTL_LOCAL, NULL, NULL, false, "into a file"},
	END,
};

#define FILE_JUDGE                                                                                                    \
	{"--cert", "PEM", CTL_STR, "cert", NULL, false, "the signer's certificate, PEM or DER"},                      \
	{                                                                                                             \
		"--list", "TLV", CTL_STR, "list", NULL, false, "the trust list that decides who may sign"             \
	}
static const struct ctl_opt file_opts[] = {
	FILE_JUDGE,
	{"--name", "NAME", CTL_STR, "name", NULL, false, "what it was asked for: the name inside must fit"},
	END,
};
static const struct ctl_opt file_sign_opts[] = {
	{"--key", "PEM", CTL_STR, "key", NULL, true, "the signer's private key, and its certificate if it is behind"},
	{"--cert", "PEM", CTL_STR, "cert", NULL, false, "the signer's certificate"},
	{"--out", "FILE", CTL_STR, "out", NULL, false, "default: FILE.sgn, or FILE.enc.sgn"},
	{"--name", "NAME", CTL_STR, "name", NULL, false, "the name inside (default: the last part of --out)"},
	{"--digest", "ALG", CTL_STR, "digest", NULL, false, "sha512 (default), sha256, or sha1 for 7900-series phones"},
	{"--enc-cert", "PEM", CTL_STR, "enc_cert", NULL, false, "encrypt for this phone's certificate"},
	{"--sym-key-file", "FILE", CTL_STR, "sym_key", NULL, false, "encrypt with 16 bytes that the phone was given"},
	{"--time", "SECONDS", CTL_INT, "time", NULL, false, "time stamp since 1970 (default: now; 0: none)"},
	END,
};
static const struct ctl_opt file_decrypt_opts[] = {
	{"--key", "PEM", CTL_STR, "key", NULL, false, "the phone's private key"},
	{"--sym-key-file", "FILE", CTL_STR, "sym_key", NULL, false, "the 16 bytes that the phone was given"},
	FILE_JUDGE,
	{"--out", "FILE", CTL_STR, "out", NULL, false, "where the plain file goes (default: standard output)"},
	END,
};

#define REMOTE                                                                                                          \
	{"--server", "HOST[:PORT]", CTL_STR, "_server", NULL, false, "ask the CTL provider of an appliance, port 2444, not the admin socket"}, \
	{"--ca", "PEM", CTL_STR, "_ca", NULL, false, "with --server: what its certificate must chain to"},               \
	{"--user", "NAME", CTL_STR, "_user", NULL, false, "with --server: administrator"},                               \
	{"--password-file", "FILE", CTL_STR, "_password_file", NULL, false, "his password (default: standard input)"},   \
	{"--client-cert", "PEM", CTL_STR, "_client_cert", NULL, false, "certificate and key that a user's record names, instead of a password"}
#define SIGN_HERE                                                                                                       \
	{"--signer", "NAME", CTL_STR, "signer", NULL, false, "which of our tokens in the CTL signs (default: the last one)"}, \
	{"--key", "PEM", CTL_STR, "_key", NULL, false, "sign here, with this token's key"},                              \
	{"--pkcs11", "URI", CTL_STR, "_pkcs11", NULL, false, "sign here, with a PKCS#11 token's key (pkcs11:...); needs --cert"}, \
	{"--cert", "PEM", CTL_STR, "_cert", NULL, false, "the signing token's certificate (default: in the file of --key)"}, \
	{"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will trust us no more"}
static const struct ctl_opt mode_opts[] = {
	{"--tokenless", NULL, CTL_TRUE, "tokenless", NULL, false, "the CallManager key signs; the ITL recovery key is the second SAST"},
	{"--recreate", NULL, CTL_TRUE, "recreate", NULL, false,
	 "all tokens are lost, or one leaked: a CTL as if there were none; phones that hold the old one refuse it until theirs is erased"},
	{"--token", "PEM", CTL_LIST, "_tokens", NULL, false, "add a token by its certificate; may be repeated"},
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt token_opts[] = {
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt tftp_opts[] = {
	{"--server-cert", "PEM", CTL_STR, "_tftp_cert", NULL, true, "its certificate"},
	{"--address", "IPV4", CTL_STR, "_address", NULL, false, "written into its record"},
	SIGN_HERE,
	REMOTE,
	END,
};
static const struct ctl_opt get_opts[] = {
	{"--out", "DIR", CTL_STR, "_out", NULL, true, "folder for CTLFile-CLASS.tlv"},
	REMOTE,
	END,
};
static const struct ctl_opt remote_opts[] = {
	REMOTE,
	END,
};
static const struct ctl_opt user_opts[] = {
	{"--role", "ROLE", CTL_STR, "role", NULL, false, "admin (default), or reader"},
	{"--password-file", "FILE", CTL_STR, "_password_file", NULL, false, "8 to 128 characters (default: standard input)"},
	{"--cert-sha256", "HEX", CTL_STR, "cert", NULL, false, "a client certificate instead of a password"},
	END,
};
static const struct ctl_opt list_opts[] = {
	{"--class", "CLASS", CTL_STR, "class", NULL, false, "79xx or modern (default)"},
	END,
};
static const struct ctl_opt strand_opts[] = {
	{"--strand", "N", CTL_INT, "strand", NULL, false, "do it although exactly N phones will trust us no more"},
	END,
};

const struct ctl_cmd ctl_cmds_trust[] = {
	{"show certs", "show.certs", NO_POS, store_opts, CTL_PLAIN, "our own certificates and the trust stores"},
	{"show ctl", "show.ctl", NO_POS, list_opts, CTL_PLAIN, "the certificate trust list in force"},
	{"show itl", "show.itl", NO_POS, list_opts, CTL_PLAIN, "the identity trust list in force"},
	{"ctl set-mode", "ctl.change", POS("MODE", "mode"), mode_opts, CTL_CTLOP, "make the CTL for mixed or nonsecure mode"},
	{"utils ctl set-cluster", "ctl.change", POS("MODE", "mode"), mode_opts, CTL_CTLOP,
	 "the same with mixed-mode or non-secure-mode"},
	{"ctl update", "ctl.change", NO_POS, mode_opts, CTL_CTLOP, "make the CTL anew with the certificates of today"},
	{"utils ctl update CTLFile", "ctl.change", NO_POS, mode_opts, CTL_CTLOP, "the same"},
	{"ctl token add", "ctl.change", POS("PEM", "_token_file"), token_opts, CTL_CTLOP, "add a token (SAST) by its certificate"},
	{"ctl token del", "ctl.change", POS("TOKEN", "_del_token"), token_opts, CTL_CTLOP, "remove one, or what an import brought: name, or digits of its SHA-256"},
	{"ctl tftp add", "ctl.change", POS("HOST", "_tftp_host"), tftp_opts, CTL_CTLOP, "add an alternate TFTP server"},
	{"ctl tftp del", "ctl.change", POS("HOST", "_del_tftp"), token_opts, CTL_CTLOP, "remove one"},
	{"ctl servers", "ctl.servers", NO_POS, remote_opts, CTL_CTLOP, "servers in the CTL, and their certificates"},
	{"ctl get", "ctl.read", NO_POS, get_opts, CTL_CTLOP, "the CTL's files, for an alternate TFTP server"},
	{"ctl version", "ctl.version", NO_POS, remote_opts, CTL_CTLOP, "serial and MD5 of the CTL's files"},
	{"ctl mode", "ctl.mode", NO_POS, remote_opts, CTL_CTLOP, "the cluster's security mode"},
	{"ctl lease", "ctl.lease", POS("ACTION", "action"), remote_opts, CTL_CTLOP, "take, release or break the right to change the CTL"},
	{"user add", "user.add", POS("NAME", "name"), user_opts, CTL_CTLOP, "an administrator of the CTL provider"},
	{"user del", "user.del", POS("NAME", "name"), NULL, CTL_PLAIN, "remove one"},
	{"show users", "show.users", NO_POS, NULL, CTL_PLAIN, "administrators of the CTL provider"},
	{"trust status", "trust.status", NO_POS, NULL, CTL_PLAIN, "how many phones hold which trust lists"},
	{"trust ledger", "trust.ledger", {{"SEP...", CTL_LIST, "devices", true}, {NULL, CTL_STR, NULL, false}}, NULL, CTL_PLAIN,
	 "what phones are known to hold, and since when"},
	{"trust forget", "trust.forget", POS_AS("SEP...", CTL_LIST, "devices"), NULL, CTL_PLAIN,
	 "these phones were reset by hand: they hold no lists"},
	{"trust confirm", "trust.confirm", POS_AS("SEP...", CTL_LIST, "devices"), NULL, CTL_PLAIN,
	 "these phones hold what was last fetched in their name: it was they"},
	{"trust plan", "trust.plan", POS_AS("CHANGE", CTL_LIST, "change"), NULL, CTL_PLAIN,
	 "whom a change would strand, and the order that strands nobody: regenerate TVS + regenerate TFTP"},
	{"itl sign-with", "itl.set", POS("NAME", "sign_with"), strand_opts, CTL_PLAIN,
	 "auto (TFTP, and its old key as long as that is kept), TFTP, TFTP.prev or ITLRecovery"},
	{"utils itl reset", "itl.reset", POS("KEY", "key"), strand_opts, CTL_PLAIN,
	 "localkey: sign the ITL with the recovery key, which all phones know"},
	{"itl rollback", "itl.rollback", POS("ON", "rollback"), strand_opts, CTL_PLAIN,
	 "on: an ITL with empty TVS and TFTP sections, before phones go to an older release; off"},
	{"cert issue", "cert.issue", POS("NAME", "device"), cert_opts, CTL_CERT, "issue a key and an LSC for a phone"},
	{"cert list", "show.certs", NO_POS, store_opts, CTL_PLAIN, "as show certs"},
	{"cert show", "cert.show", POS("ID", "id"), store_opts, CTL_PLAIN,
	 "everything about a certificate: ID is a name, the first digits of the SHA-256 fingerprint, or a whole SHA-1 or MD5 one"},
	{"cert upload", "cert.upload", POS_AS("FILE", CTL_LOCAL, NULL), upload_opts, CTL_CERT_FILE,
	 "certificates of a PEM or DER file into a trust store: all of them, or none"},
	{"cert delete", "cert.delete", POS("ID", "id"), upload_opts, CTL_PLAIN, "take a certificate out of a trust store"},
	{"cert export", "cert.export", POS("ID", "id"), export_opts, CTL_CERT_OUT, "a certificate as PEM or DER"},
	{"cert regenerate", "cert.regenerate", POS("NAME", "name"), regenerate_opts, CTL_PLAIN,
	 "a new key and self-signed certificate of our own; what was stays as NAME.prev"},
	{"cert csr", "cert.csr", POS("NAME", "name"), csr_opts, CTL_CERT_OUT,
	 "a request (PKCS#10) with a new key, for a CA to sign; nothing changes before cert import"},
	{"cert import", "cert.import", {{"NAME", CTL_STR, "name", false}, {"CHAINFILE", CTL_LOCAL, NULL, false}}, strand_opts,
	 CTL_CERT_FILE, "a CA's answer to the request, with its chain"},
	{"cert retire", "cert.retire", POS("NAME", "name"), strand_opts, CTL_PLAIN, "drop NAME.prev: what NAME was before"},
	{"import ctl", "ctl.import", POS("FILE", "_file"), remote_opts, CTL_CTLOP,
	 "take over what phones of another cluster need: SASTs, CAPF and TVS of its CTLFile.tlv"},
	{"file show", "file.show", POS("FILE", "file"), file_opts, CTL_FILE,
	 "a trust list or signed file from anywhere, tag by tag. Needs no appliance; 0 valid, 1 not, 2 unreadable"},
	{"file verify", "file.verify", POS("FILE", "file"), file_opts, CTL_FILE,
	 "is it signed by who it says? A list by its own record unless --list or --cert say otherwise"},
	{"file sign", "file.sign", POS("FILE", "file"), file_sign_opts, CTL_FILE, "make FILE.sgn, or FILE.enc.sgn"},
	{"file decrypt", "file.decrypt", POS("FILE", "file"), file_decrypt_opts, CTL_FILE,
	 "what is in a signed or encrypted file"},
	CTL_END,
};
