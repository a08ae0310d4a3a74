/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config/: every bad key, type, range and relation is an error that names key and line; the example
 * file is the defaults; garbage and truncation are errors or valid, never more.
 * Rows: 004b:CAPF-08.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "config.h"

#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define PORT                                                                                       \
	"dataplane:\n  ports:\n    - device: af_packet:x\n      addresses: [10.0.0.1/24, 'fd00::1/64']\n"
#define SA                                                                                         \
	"{gateway: g, direction: in, spi: 300, mode: transport, algorithm: aes-gcm-128, "          \
	"key: 000102030405060708090a0b0c0d0e0f10111213, local: 10.0.0.1, remote: 10.0.0.2}"

static char err[512];

static int load(const char *text, struct cfg **ret)
{
	size_t len = strlen(text);
	uint8_t *exact = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(exact, text, len);
	rc = cfg_load_data(exact, len, ret, err, sizeof(err));
	free(exact);
	return rc;
}

/* Refused, with one line that starts with 'where' and holds 'what'. */
static const struct {
	const char *text, *where, *what;
} refused[] = {
	{"datplane: {}", "line 1: unknown key \"datplane\"", ""},
	{"log: {}\ndataplane:\n  max_lags: 1", "line 3: unknown key \"dataplane.max_lags\"", ""},
	{PORT "    - device: pci:1\n      adresses: []",
         "line 6: unknown key \"dataplane.ports[1].adresses\"", ""},
	{"dataplane:\n  ports:\n    - gateway: 1.1.1.1", "line 3: dataplane.ports[0]: ", "missing"},
	{"media:\n  addresses:\n    - region: x", "line 3: media.addresses[0]: ", "address"},
	/* a wrong type of each kind */
	{"paths: 3", "line 1: paths: ", "keys with values"},
	{"log: [kv]", "line 1: log: ", "keys with values"},
	{"[1, 2]", "line 1: ", "keys with values"},
	{"hello", "line 1: ", "keys with values"},
	{"paths:\n  state: {a: b}", "line 2: paths.state: ", "single value"},
	{"paths:\n  state: [a]", "line 2: paths.state: ", "single value"},
	{"dataplane:\n  worker_lcores: 3", "line 2: dataplane.worker_lcores: ", "a list"},
	{"dataplane:\n  worker_lcores:\n    - 1\n    - x",
         "line 4: dataplane.worker_lcores[1]: ", "whole number"},
	{"dataplane:\n  ports: af_packet:x", "line 2: dataplane.ports: ", "a list"},
	{"dataplane:\n  ports: [af_packet:x]", "line 2: dataplane.ports[0]: ", "keys with values"},
	{"dataplane:\n  max_legs: abc", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs: 12junk", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs: 20 00", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs: 1e3", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs: 0x", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs:", "line 2: dataplane.max_legs: ", "whole number"},
	{"dataplane:\n  max_legs: [1]", "line 2: dataplane.max_legs: ", "not a list"},
	{"dataplane:\n  huge_pages: sometimes",
         "line 2: dataplane.huge_pages: ", "auto, never, require"},
	{"log:\n  level: 3", "line 2: log.level: ", "debug"},
	{"sccp:\n  legacy_tls: maybe", "line 2: sccp.legacy_tls: ", "false, true"},
	/* ranges */
	{"dataplane:\n  max_legs: 1", "line 2: dataplane.max_legs: 1 is not in 2 to 524288", ""},
	{"dataplane:\n  max_legs: 524289", "line 2: dataplane.max_legs: ", "524288"},
	{"dataplane:\n  max_sas: 32769", "line 2: dataplane.max_sas: ", "32768"},
	{"dataplane:\n  max_gateways: 16385", "line 2: dataplane.max_gateways: ", "16384"},
	{"dataplane:\n  memory_mb: 1", "line 2: dataplane.memory_mb: ", "64"},
	{"dataplane:\n  mbufs: 1", "line 2: dataplane.mbufs: ", "1024"},
	{"dataplane:\n  ring_desc: 0", "line 2: dataplane.ring_desc: ", "64"},
	{"dataplane:\n  main_lcore: 128", "line 2: dataplane.main_lcore: ", "127"},
	{"sccp:\n  port: -1", "line 2: sccp.port: -1 is not in 0 to 65535", ""},
	{"sccp:\n  port: 65536", "line 2: sccp.port: ", "65535"},
	{"sccp:\n  port: 99999999999999999999999", "line 2: sccp.port: ", "65535"},
	{"sccp:\n  keepalive_s: 4", "line 2: sccp.keepalive_s: ", "3600"},
	{"sccp:\n  handshake_s: 0", "line 2: sccp.handshake_s: ", "120"},
	{"sccp:\n  reset_rate: 0", "line 2: sccp.reset_rate: ", "10000"},
	{"sccp:\n  duplicate: both", "line 2: sccp.duplicate: ", "evict, refuse"},
	{"sccp:\n  mic_only: yes", "line 2: sccp.mic_only: ", "refuse, admit"},
	{"sccp:\n  register_rate: 100001", "line 2: sccp.register_rate: ", "100000"},
	{"sccp:\n  keepalive_grace_s: 3601", "line 2: sccp.keepalive_grace_s: ", "3600"},
	{"sccp:\n  auto_numbers: 1000", "line 2: sccp.auto_numbers: ", "FIRST-LAST"},
	{"sccp:\n  auto_numbers: 1-10", "line 2: sccp.auto_numbers: ", "as many"},
	{"sccp:\n  auto_numbers: 2000-1999", "line 2: sccp.auto_numbers: ", "1 to 1000000"},
	{"sccp:\n  auto_numbers: 0000000-1000000", "line 2: sccp.auto_numbers: ", "1 to 1000000"},
	{"sccp:\n  auto_numbers: 0-0", "line 2: sccp.auto_numbers: ", "above 0"},
	{"sccp:\n  auto_numbers: 1000-199x", "line 2: sccp.auto_numbers: ", "digits"},
	{"sccp:\n  max_connections: 0", "line 2: sccp.max_connections: ", ""},
	{"sccp:\n  loops: 65", "line 2: sccp.loops: ", "64"},
	{"sccp:\n  max_preauth: 0", "line 2: sccp.max_preauth: ", ""},
	{"enrol:\n  capf_port: 70000", "line 2: enrol.capf_port: ", "65535"},
	{"enrol:\n  tvs_port: 3804", "line 2: enrol.tvs_port: ", "is enrol.capf_port"},
	{"enrol:\n  listen: here", "line 2: enrol.listen: ", "address"},
	{"enrol:\n  handshake_s: 601", "line 2: enrol.handshake_s: ", "600"},
	{"enrol:\n  expires_days: 0", "line 2: enrol.expires_days: ", "3650"},
	{"enrol:\n  max_preauth: 0", "line 2: enrol.max_preauth: ", ""},
	{"enrol:\n  old_keys: 1", "line 2: enrol.old_keys: ", "true"},
	{"enrol:\n  scep:\n    x: y", "line 3: unknown key \"enrol.scep.x\"", ""},
	{"enrol:\n  issuer: scep", "line 1: enrol.scep.url: ", "missing"},
	{"enrol:\n  issuer: them", "line 2: enrol.issuer: ", "batch"},
	{"enrol:\n  scep:\n    url: https://ca/scep", "line 3: enrol.scep.url: ", "http://"},
	{"enrol:\n  scep:\n    url: http://ca/scep", "line 2: enrol.scep.ca_sha256: ", "64 hex digits"},
	{"enrol:\n  scep:\n    ra_sha256: 00 11", "line 3: enrol.scep.ra_sha256: ", "64 hex digits"},
	{"enrol:\n  scep:\n    ra_sha256: ''", "line 3: enrol.scep.ra_sha256: ", "64 hex digits"},
	{"enrol:\n  scep:\n    ra_sha256: " HEX64 " " HEX64 " " HEX64, "line 3: enrol.scep.ra_sha256: ", "one or two"},
	{"sccp:\n  date_template: hello", "line 2: sccp.date_template: ", ""},
	{"sccp:\n  listen: here", "line 2: sccp.listen: ", "address"},
	{"sccp:\n  listen: 1.2.3.4:5", "line 2: sccp.listen: ", "address"},
	{"media:\n  base_port: 16385", "line 2: media.base_port: ", "32768"},
	{"media:\n  base_port: 0", "line 2: media.base_port: ", "16384"},
	{"media:\n  idle_s: 86401", "line 2: media.idle_s: ", ""},
	{"media:\n  window: 63", "line 2: media.window: ", ""},
	{"media:\n  window: 4097", "line 2: media.window: ", ""},
	{"media:\n  ssrc_max: 0", "line 2: media.ssrc_max: ", ""},
	{"media:\n  ssrc_max: 1025", "line 2: media.ssrc_max: ", ""},
	{"media:\n  streams: 4194305", "line 2: media.streams: ", ""},
	{"media:\n  dscp: 64", "line 2: media.dscp: ", "63"},
	{"media:\n  ptime_ms: 25", "line 2: media.ptime_ms: ", "10"},
	{"media:\n  mode: both", "line 2: media.mode: ", "direct"},
	{"media:\n  plain_latch: x", "line 2: media.plain_latch: ", "strict"},
	{"media:\n  rtcp_mux: 2", "line 2: media.rtcp_mux: ", "true"},
	{"dataplane:\n  fragments: keep", "line 2: dataplane.fragments: ", "reassemble"},
	{"media:\n  rate_pps: -1", "line 2: media.rate_pps: ", "10000000"},
	{"media:\n  source_pps: 10000001", "line 2: media.source_pps: ", "10000000"},
	{"media:\n  rekey_s: 604801", "line 2: media.rekey_s: ", "604800"},
	{"media:\n  latch_max: 0", "line 2: media.latch_max: ", "65535"},
	{"media:\n  suites: []", "line 2: media.suites: ", "at least one"},
	{"media:\n  suites: [AEAD_AES_128_GCM, AEAD_AES_128_GCM]", "line 2: media.suites[1]: ", "twice"},
	{"media:\n  suites: [a b]", "line 2: media.suites[0]: ", "not a suite"},
	{"media:\n  regions:\n  - name: a\n    mode: x", "line 4: media.regions[0].mode: ", "direct"},
	{"media:\n  regions:\n  - name: a\n    mode: direct\n  - name: a\n    mode: relay", "line 5: media.regions[1].name: ", "twice"},
	{"media:\n  regions:\n  - name: a/b\n    mode: direct", "line 3: media.regions[0].name: ", "A-Z"},
	{"media:\n  fallback: x", "line 2: media.fallback: ", "refuse"},
	{"capture:\n  enabled: 1", "line 2: capture.enabled: ", "true"},
	{"capture:\n  plain: yes", "line 2: capture.plain: ", "allow"},
	{"capture:\n  plain: allow", "line 2: capture.plain: ", "capture.enabled"},
	{"capture:\n  signalling: yes", "line 2: capture.signalling: ", "keys"},
	{"capture:\n  signalling: keys", "line 2: capture.signalling: ", "capture.enabled"},
	{"capture:\n  directory: captures", "line 2: capture.directory: ", "absolute"},
	{"capture:\n  max_s: 0", "line 2: capture.max_s: ", "86400"},
	{"moh:\n  directory: moh", "line 2: moh.directory: ", "absolute"},
	{"moh:\n  user: x", "line 2: moh.user: ", "moh.sources"},
	{"moh:\n  network: x\n  sources: [{name: y, file: y.wav}]", "line 2: moh.network: ", "moh.sources"},
	{"moh:\n  sources: [{name: a b, file: y.wav}]", "line 2: moh.sources[0].name: ", "1 to 31"},
	{"moh:\n  sources: [{name: a}]", "line 2: moh.sources[0].name: ", "no file"},
	{"moh:\n  sources: [{name: a, file: y.mp3}]", "line 2: moh.sources[0].file: ", ".wav"},
	{"moh:\n  sources: [{name: a, file: ../y.wav}]", "line 2: moh.sources[0].file: ", "dot in front"},
	{"moh:\n  sources: [{name: a, g729: x/y}]", "line 2: moh.sources[0].g729: ", "1 to 63"},
	{"moh:\n  sources: [{name: a, file: y.wav}, {name: a, file: z.wav}]", "line 2: moh.sources[1].name: ", "twice"},
	{"capture:\n  max_mb: 0", "line 2: capture.max_mb: ", "1048576"},
	{"mgcp:\n  answer_s: 1", "line 2: mgcp.answer_s: ", "600"},
	{"mgcp:\n  agents: [ca1]", "line 2: mgcp.agents: ", "mgcp.local"},
	{"mgcp:\n  claim: all", "line 2: mgcp.claim: ", "partners"},
	{"mgcp:\n  audit_rate: 9", "line 2: mgcp.audit_rate: ", "100000"},
	{"signer:\n  lsc_days: 0", "line 2: signer.lsc_days: ", "36500"},
	{"signer:\n  ca_days: 36501", "line 2: signer.ca_days: ", "36500"},
	{"signer:\n  server_days: 3651", "line 2: signer.server_days: ", "ca_days"},
	{"signer:\n  cluster_name: a b", "line 2: signer.cluster_name: ", ""},
	{"signer:\n  cluster_name: ''", "line 2: signer.cluster_name: ", ""},
	{"signer:\n  server_key: dsa", "line 2: signer.server_key: ", "rsa-2048"},
	{"signer:\n  server_names: [a/b]", "line 2: signer.server_names[0]: ", "DNS"},
	{"signer:\n  kek_file: kek", "line 2: signer.kek_file: ", "absolute"},
	{"signer:\n  kek_file: credential:../x", "line 2: signer.kek_file: ", "credential:NAME"},
	{"signer:\n  pkcs11_pin: pin", "line 2: signer.pkcs11_pin: ", "absolute"},
	{"signer:\n  pkcs11_module: x.so", "line 2: signer.pkcs11_module: ", "absolute"},
	{"signer:\n  pkcs11_uri: token=x", "line 2: signer.pkcs11_uri: ", "pkcs11:"},
	{"signer:\n  pkcs11_uri: 'pkcs11:token=x?pin-value=1'", "line 2: signer.pkcs11_uri: ", "PIN"},
	{"signer:\n  keys: [{identity: SAST3, key: rsa-2048}]", "line 2: signer.keys[0].identity: ", "no identity"},
	{"signer:\n  keys: [{identity: SAST1, key: dsa}]", "line 2: signer.keys[0].key: ", "rsa-4096"},
	{"signer:\n  keys: [{identity: SAST1, key: ec-p256}]", "line 2: signer.keys[0].key: ", "signs lists"},
	{"signer:\n  keys: [{identity: TFTP, key: rsa-3072}]", "line 2: signer.keys[0].key: ", "signs lists"},
	{"signer:\n  keys: [{identity: TFTP-EC, key: rsa-2048}]", "line 2: signer.keys[0].key: ", "EC"},
	{"signer:\n  keys: [{identity: TVS, key: 'pkcs11:token=x'}]", "line 2: signer.keys[0].key: ", "handed"},
	{"signer:\n  keys: [{identity: CAPF, key: 'pkcs11:token=x?pin-value=1'}]", "line 2: signer.keys[0].key: ", "PIN"},
	{"signer:\n  keys: [{identity: TVS, key: ec-p384}, {identity: TVS, key: ec-p256}]",
         "line 2: signer.keys[1].identity: ", "twice"},
	{"paths:\n  state: here", "line 2: paths.state: ", "absolute"},
	{"paths:\n  run: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "line 2: paths.run: ", "90"},
	{"dataplane:\n  file_prefix: a/b", "line 2: dataplane.file_prefix: ", ""},
	/* relations */
	{"dataplane:\n  worker_lcores: []", "line 2: dataplane.worker_lcores: ", "at least one"},
	{"dataplane:\n  worker_lcores: [0]", "line 2: dataplane.worker_lcores[0]: ", "main_lcore"},
	{"dataplane:\n  main_lcore: 1", "", "main_lcore"},
	{"dataplane:\n  worker_lcores: [1, 2, 1]", "line 2: dataplane.worker_lcores[2]: ", "twice"},
	{"dataplane:\n  ports:\n    - device: eth0",
         "line 3: dataplane.ports[0].device: ", "af_packet"},
	{PORT "    - device: af_packet:x", "line 5: dataplane.ports[1].device: ", "twice"},
	{PORT "    - device: af_packet:x\n      vlan: 5\n    - device: af_packet:x\n      vlan: 5",
         "line 7: dataplane.ports[2].device: ", "with this vlan"},
	{PORT "      vlan: 0", "line 5: dataplane.ports[0].vlan: ", "1 to 4094"},
	{PORT "      vlan: 4095", "line 5: dataplane.ports[0].vlan: ", "1 to 4094"},
	{PORT "      mtu: 575", "line 5: dataplane.ports[0].mtu: ", "576 to 9000"},
	{PORT "      mtu: 9001", "line 5: dataplane.ports[0].mtu: ", "576 to 9000"},
	{PORT "      mac: 02:00:00:00:00", "line 5: dataplane.ports[0].mac: ", "six octets"},
	{PORT "      mac: '02-00-00-00-00-01'", "line 5: dataplane.ports[0].mac: ", "six octets"},
	{PORT "      mac: 02:00:00:00:00:0g", "line 5: dataplane.ports[0].mac: ", "six octets"},
	{PORT "      mac: 01:00:5e:00:00:01", "line 5: dataplane.ports[0].mac: ", "station"},
	{PORT "    - device: af_packet:x\n      vlan: 5\n      mac: 02:00:00:00:00:01",
         "line 7: dataplane.ports[1].mac: ", "first entry"},
	{PORT "      punt: abcdefghijklmnop", "line 5: dataplane.ports[0].punt: ", "1 to 15"},
	{PORT "      punt: a/b", "line 5: dataplane.ports[0].punt: ", "1 to 15"},
	{PORT "      punt: p\n    - device: af_packet:y\n      punt: p", "line 7: dataplane.ports[1].punt: ", "twice"},
	{"dataplane:\n  punt_pps: 99", "line 2: dataplane.punt_pps: ", "100 to 1000000"},
	{"dataplane:\n  worker_lcores: [1, 2]\n  ports:\n    - device: pcap:a", "line 4: dataplane.ports[0].device: ",
         "one worker"},
	{PORT "    - device: af_packet:y\n      addresses: [10.0.0.1/8]",
         "line 6: dataplane.ports[1].addresses[0]: ", "twice"},
	{"dataplane:\n  ports:\n    - device: pci:1\n      addresses: [10.0.0.1/24, 10.0.0.1/24]",
         "line 4: dataplane.ports[0].addresses[1]: ", "twice"},
	{"dataplane:\n  ports:\n    - device: pci:1\n      addresses: [10.0.0.1]",
         "line 4: dataplane.ports[0].addresses[0]: ", "ADDRESS/PREFIX"},
	{"dataplane:\n  ports:\n    - device: pci:1\n      addresses: [a::1/64, a::2/64, a::3/64, a::4/64, a::5/64, "
         "a::6/64, a::7/64, a::8/64, a::9/64]",
         "line 4: dataplane.ports[0].addresses: ", "at most 8"},
	{PORT "      gateway: fd00::2", "line 5: dataplane.ports[0].gateway: ", "IPv4"},
	{PORT "      gateway6: 10.0.0.2", "line 5: dataplane.ports[0].gateway6: ", "IPv6"},
	{PORT "media:\n  addresses:\n    - address: 10.0.0.2",
         "line 7: media.addresses[0].address: ", "dataplane.ports"},
	{PORT "media:\n  addresses:\n    - address: 10.0.0.1\n    - address: 10.0.0.1",
         "line 8: media.addresses[1].address: ", "twice"},
	{PORT "mgcp:\n  local: 10.0.0.9", "line 6: mgcp.local: ", "dataplane.ports"},
	{PORT "mgcp:\n  local: 10.0.0.1:0", "line 6: mgcp.local: ", "address"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['ca@10.0.0.1:2727']", "line 7: mgcp.agents[0]: ", "port"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['[10.0.0.2]']", "line 7: mgcp.agents[0]: ", "our own"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['@a']", "line 7: mgcp.agents[0]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['a@b@c']", "line 7: mgcp.agents[0]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['a@']", "line 7: mgcp.agents[0]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: ['a b']", "line 7: mgcp.agents[0]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: [us, 'b:0']", "line 7: mgcp.agents[1]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: [us, 'b:65536']", "line 7: mgcp.agents[1]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: [us, 'b:2x']", "line 7: mgcp.agents[1]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: [us, 'x@[10.0.0.2']", "line 7: mgcp.agents[1]: ", "HOST"},
	{PORT "mgcp:\n  local: 10.0.0.1\n  agents: [us, 'x@[ca2]']", "line 7: mgcp.agents[1]: ", "HOST"},
	{"sccp:\n  port: 5\n  tls_port: 5", "line 3: sccp.tls_port: ", "sccp.port"},
	{PORT "ipsec:\n  sas:\n    - " SA "\n    - " SA, "line 8: ipsec.sas[1].spi: ", "twice"},
	{"ipsec:\n  sas:\n    - " SA, "line 3: ipsec.sas[0].local: ", "dataplane.ports"},
	{"ipsec:\n  sas:\n    - {gateway: g}", "line 3: ipsec.sas[0]: ", "direction"},
	{"ike:\n  source: file", "line 2: ike.source: ", "socket"},
	{"ike:\n  enable: yes please", "line 2: ike.enable: ", "true"},
	{"ike:\n  vici: charon.vici", "line 2: ike.vici: ", "absolute"},
	{"ike:\n  socket: xfrm.sock", "line 2: ike.socket: ", "absolute"},
	{"ike:\n  socket: /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678", "line 2: ike.socket: ", "107"},
	{"ipsec:\n  dummy_pps: 51", "line 2: ipsec.dummy_pps: ", "0 to 50"},
#define POL(rest) "ipsec:\n  policies:\n    - {" rest "}"
	{POL("direction: in"), "line 3: ipsec.policies[0]: ", "action"},
	{POL("action: allow"), "line 3: ipsec.policies[0].action: ", "bypass, protect, discard"},
	{POL("action: bypass, direction: up"), "line 3: ipsec.policies[0].direction: ", "both, in, out"},
	{POL("action: bypass, local: 10.0.0.0/33"), "line 3: ipsec.policies[0].local: ", "ADDRESS"},
	{POL("action: bypass, local: '10.0.0.1:5'"), "line 3: ipsec.policies[0].local: ", "ADDRESS"},
	{POL("action: bypass, remote: 10.0.0.1/24"), "line 3: ipsec.policies[0].remote: ", "bits behind"},
	{POL("action: bypass, remote: 'fd00::/7'"), "line 3: ipsec.policies[0].remote: ", "bits behind"},
	{POL("action: bypass, local: 10.0.0.0/8, remote: 'fd00::/8'"), "line 3: ipsec.policies[0].remote: ", "family"},
	{POL("action: bypass, protocol: 256"), "line 3: ipsec.policies[0].protocol: ", "255"},
	{POL("action: bypass, protocol: gre"), "line 3: ipsec.policies[0].protocol: ", ""},
	{POL("action: bypass, local_ports: 5"), "line 3: ipsec.policies[0].local_ports: ", "protocol with ports"},
	{POL("action: bypass, protocol: icmp, remote_ports: 5"), "line 3: ipsec.policies[0].remote_ports: ", "protocol with ports"},
	{POL("action: bypass, protocol: udp, local_ports: 9-8"), "line 3: ipsec.policies[0].local_ports: ", "ends before"},
	{POL("action: bypass, protocol: udp, local_ports: '-8'"), "line 3: ipsec.policies[0].local_ports: ", "N-M"},
	{POL("action: bypass, protocol: udp, local_ports: 8-"), "line 3: ipsec.policies[0].local_ports: ", ""},
	{POL("action: bypass, protocol: udp, local_ports: 65536"), "line 3: ipsec.policies[0].local_ports: ", "65535"},
	{POL("action: bypass, protocol: udp, icmp_types: 8"), "line 3: ipsec.policies[0].icmp_types: ", "icmp"},
	{POL("action: bypass, protocol: icmp, icmp_types: 256"), "line 3: ipsec.policies[0].icmp_types: ", "255"},
	{POL("action: bypass, df: set"), "line 3: ipsec.policies[0].df: ", "action: protect"},
	{POL("action: discard, dscp: 46"), "line 3: ipsec.policies[0].dscp: ", "action: protect"},
	{POL("action: protect, dscp: 64"), "line 3: ipsec.policies[0].dscp: ", "63"},
	{POL("action: protect, df: maybe"), "line 3: ipsec.policies[0].df: ", "copy, set, clear"},
	/* what YAML allows and we do not */
	{"sccp:\n  port: 1\n  port: 2", "line 3: ", "given twice: sccp.port"},
	{"sccp:\n  port: 1\nsccp:\n  port: 2", "line 3: ", "given twice: sccp"},
	{"log: &a {}\nsccp: *a", "line 2: ", "aliases"},
	{"log: {}\n---\nlog: {}", "line 2: ", "second document"},
	{"\tlog: {", "line 1: ", "not YAML"},
	{"log: {level: info", "line ", "not YAML"},
	{"? [a]\n: b", "line 1: ", "word"},
	{"a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "line 1: ", "deep"},
	{"\"a\\u0007\\nb\": 1", "line 1: unknown key ", "x07"},
};

static void test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct cfg *cfg = NULL;
		int rc = load(refused[i].text, &cfg);
		bool ok = rc == -EINVAL && cfg == NULL &&
		          strncmp(err, refused[i].where, strlen(refused[i].where)) == 0 &&
		          strcasestr(err, refused[i].what) != NULL && strchr(err, '\n') == NULL;

		CU_ASSERT_TRUE(ok);
		if (!ok)
			fprintf(stderr, "case %zu: %s\n rc=%d err=%s\n", i, refused[i].text, rc,
			        err);
		cfg_free(cfg);
	}
}

/* One field of a good SA replaced at a time. */
static const struct {
	const char *from, *to, *key;
} sa_bad[] = {
	{"spi: 300", "spi: 255", ".spi"},
	{"spi: 300", "spi: 4294967296", ".spi"},
	{"direction: in", "direction: up", ".direction"},
	{"mode: transport", "mode: beet", ".mode"},
	{"10111213", "1011121", ".key"},
	{"10111213", "1011121g", ".key"},
	{"10111213", "101112131415161718191a1b1c1d1e1f2021222324", ".key"},
	{"local:", "auth_key: 0, local:", ".auth_key"},
	{"local:", "auth_key: " HEX64 HEX64 "00, local:", ".auth_key"},
	{"remote: 10.0.0.2", "remote: fd00::2", ".remote"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2:4500", ".remote"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, esn: 7", ".esn"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, window: 63", ".window"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, tfc: 100", ".tfc"}, /* in, transport */
	{"direction: in, spi: 300, mode: transport", "direction: out, spi: 300, mode: tunnel, tfc: 1401", ".tfc"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, keepalive: true", ".keepalive"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, hard_s: 10, soft_s: 11", ".soft_s"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, hard_bytes: 0", ".hard_bytes"},
	{"remote: 10.0.0.2", "remote: 10.0.0.2, window: 4097", ".window"},
	{"gateway: g", "gateway: ''", ".gateway"},
};

static void test_sa(void)
{
	struct cfg *cfg = NULL;
	char text[1024];

	snprintf(text, sizeof(text), PORT "ipsec:\n  sas:\n    - %s\n", SA);
	CU_ASSERT_EQUAL_FATAL(load(text, &cfg), 0);
	CU_ASSERT_EQUAL(cfg->sas_count, 1);
	CU_ASSERT_EQUAL(cfg->sas[0].spi, 300);
	CU_ASSERT_FALSE(cfg->sas[0].esn);
	cfg_free(cfg);
	for (size_t i = 0; i < sizeof(sa_bad) / sizeof(sa_bad[0]); i++) {
		const char *at = strstr(SA, sa_bad[i].from);
		bool ok;

		cfg = NULL;
		CU_ASSERT_PTR_NOT_NULL_FATAL(at);
		snprintf(text, sizeof(text), PORT "ipsec:\n  sas:\n    - %.*s%s%s\n",
		         (int)(at - SA), SA, sa_bad[i].to, at + strlen(sa_bad[i].from));
		ok = load(text, &cfg) == -EINVAL && strstr(err, sa_bad[i].key) != NULL &&
		     strncmp(err, "line 7: ipsec.sas[0]", 20) == 0 &&
		     strstr(err, "0001020304") == NULL;
		CU_ASSERT_TRUE(ok);
		if (!ok)
			fprintf(stderr, "sa case %zu: %s\n", i, err);
		cfg_free(cfg);
	}
}

/* Two SAs for each gateway, and two more while keys are renewed, unless it is said otherwise. */
static void test_sas_of_gateways(void)
{
	static const struct {
		const char *text;
		unsigned max_sas;
	} cases[] = {
		{"max_gateways: 1", 4},
		{"max_gateways: 8191", 32764},
		{"max_gateways: 8192", 32768},
		{"max_gateways: 16384", 32768},
		{"max_gateways: 4000\n  max_sas: 17", 17},
		{"max_sas: 17", 17},
	};
	struct cfg *cfg = NULL;
	char text[80];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "dataplane:\n  %s\n", cases[i].text);
		CU_ASSERT_EQUAL_FATAL(load(text, &cfg), 0);
		CU_ASSERT_EQUAL(cfg->dataplane.max_sas, cases[i].max_sas);
		cfg_free(cfg);
	}
}

static void test_policies(void)
{
	const struct cfg_policy *p;
	struct cfg *cfg = NULL;

	CU_ASSERT_EQUAL_FATAL(load("ipsec:\n  dummy_pps: 5\n  policies:\n"
				   "    - {action: protect, direction: out, local: 10.0.0.1, remote: 10.2.0.0/15, protocol: udp,\n"
				   "       local_ports: 2727, remote_ports: 2400-2499, df: clear, dscp: 0}\n"
				   "    - {action: discard, direction: in, remote: 'fd00::/8', protocol: icmpv6, icmp_types: 128-129}\n"
				   "    - {action: bypass, protocol: 47}\n"
				   "    - {action: protect, local: any, dscp: copy}\n", &cfg), 0);
	CU_ASSERT_EQUAL(cfg->ipsec.dummy_pps, 5);
	CU_ASSERT_EQUAL_FATAL(cfg->ipsec.policies_count, 4);
	p = cfg->ipsec.policies;
	CU_ASSERT(p[0].action == CFG_POLICY_PROTECT && !p[0].in && p[0].out && p[0].local.plen == 32 && p[0].remote.plen == 15);
	CU_ASSERT(p[0].proto == 17 && p[0].local_lo == 2727 && p[0].local_hi == 2727 && p[0].remote_lo == 2400 && p[0].remote_hi == 2499);
	CU_ASSERT(p[0].df == CFG_POLICY_DF_CLEAR && p[0].dscp == 0);
	CU_ASSERT(p[1].action == CFG_POLICY_DISCARD && p[1].in && !p[1].out && p[1].proto == 58 && p[1].remote.family == 6);
	CU_ASSERT(p[1].icmp_lo == 128 && p[1].icmp_hi == 129 && p[1].local.family == 0);
	CU_ASSERT(p[2].action == CFG_POLICY_BYPASS && p[2].in && p[2].out && p[2].proto == 47 && p[2].dscp == 255);
	CU_ASSERT(p[2].local_lo == 0 && p[2].local_hi == 65535 && p[2].icmp_lo == 0 && p[2].icmp_hi == 255);
	CU_ASSERT(p[3].local.family == 0 && p[3].dscp == 255 && p[3].df == CFG_POLICY_DF_COPY);
	cfg_free(cfg);
}

static void check_defaults(const struct cfg *c)
{
	CU_ASSERT(!c->ike.enable && c->ike.source == CFG_IKE_KERNEL);
	CU_ASSERT_STRING_EQUAL(c->ike.vici, "/run/charon.vici");
	CU_ASSERT_STRING_EQUAL(c->ike.socket, "/run/ravelin/xfrm.sock");
	CU_ASSERT_STRING_EQUAL(c->paths.state, "/var/lib/ravelin");
	CU_ASSERT_STRING_EQUAL(c->paths.run, "/run/ravelin");
	CU_ASSERT_EQUAL(c->log.format, CFG_LOG_KV);
	CU_ASSERT_EQUAL(c->log.level, CFG_LOG_INFO);
	CU_ASSERT_STRING_EQUAL(c->enrol.listen, "0.0.0.0");
	CU_ASSERT(c->enrol.capf_port == 3804 && c->enrol.tvs_port == 2445 && c->enrol.tvs_ttl_s == 86400);
	CU_ASSERT(c->enrol.max_connections == 20000 && c->enrol.max_preauth == 1024 && c->enrol.max_source == 64);
	CU_ASSERT(c->enrol.handshake_s == 90 && c->enrol.expires_days == 10 && c->enrol.crl_days == 7 && !c->enrol.old_keys);
	CU_ASSERT_EQUAL(c->dataplane.main_lcore, 0);
	CU_ASSERT_EQUAL_FATAL(c->dataplane.worker_lcores_count, 1);
	CU_ASSERT_EQUAL(c->dataplane.worker_lcores[0], 1);
	CU_ASSERT_EQUAL(c->dataplane.huge_pages, CFG_HUGE_AUTO);
	CU_ASSERT_EQUAL(c->dataplane.memory_mb, 256);
	CU_ASSERT_EQUAL(c->dataplane.max_legs, 4096);
	CU_ASSERT_EQUAL(c->dataplane.max_sas, 4096);
	CU_ASSERT_EQUAL(c->dataplane.max_gateways, 1024);
	CU_ASSERT_EQUAL(c->dataplane.mbufs, 16384);
	CU_ASSERT_EQUAL(c->dataplane.ring_desc, 1024);
	CU_ASSERT_EQUAL(c->dataplane.punt_pps, 20000);
	CU_ASSERT_STRING_EQUAL(c->dataplane.file_prefix, "run_ravelin");
	CU_ASSERT_EQUAL(c->dataplane.ports_count, 0);
	CU_ASSERT_EQUAL(c->media.base_port, 16384);
	CU_ASSERT_EQUAL(c->media.addresses_count, 0);
	CU_ASSERT_EQUAL(c->media.mode, CFG_MEDIA_RELAY);
	CU_ASSERT_EQUAL(c->media.idle_s, 300);
	CU_ASSERT_EQUAL(c->media.window, 192);
	CU_ASSERT_EQUAL(c->media.ssrc_max, 8);
	CU_ASSERT_EQUAL(c->media.streams, 0);
	CU_ASSERT_EQUAL(c->media.plain_latch, CFG_LATCH_ADDRESS);
	CU_ASSERT_FALSE(c->media.rtcp_mux);
	CU_ASSERT_EQUAL(c->dataplane.fragments, CFG_FRAG_DROP);
	CU_ASSERT_EQUAL(c->media.rate_pps, 1000);
	CU_ASSERT_EQUAL(c->media.source_pps, 500);
	CU_ASSERT_EQUAL(c->media.dscp, 46);
	CU_ASSERT_EQUAL(c->media.ptime_ms, 20);
	CU_ASSERT_EQUAL(c->media.fallback, CFG_FALLBACK_RTP);
	CU_ASSERT_EQUAL(c->media.regions_count, 0);
	CU_ASSERT_EQUAL_FATAL(c->media.suites_count, 2);
	CU_ASSERT_STRING_EQUAL(c->media.suites[0], "AES_CM_128_HMAC_SHA1_80");
	CU_ASSERT_STRING_EQUAL(c->media.suites[1], "AES_CM_128_HMAC_SHA1_32");
	CU_ASSERT_EQUAL(c->media.rekey_s, 0);
	CU_ASSERT_EQUAL(c->media.latch_max, 1);
	CU_ASSERT_STRING_EQUAL(c->sccp.listen, "0.0.0.0");
	CU_ASSERT_EQUAL(c->sccp.port, 2000);
	CU_ASSERT_EQUAL(c->sccp.tls_port, 2443);
	CU_ASSERT_EQUAL(c->sccp.keepalive_s, 30);
	CU_ASSERT_STRING_EQUAL(c->sccp.date_template, "D/M/Y");
	CU_ASSERT_FALSE(c->sccp.legacy_tls);
	CU_ASSERT_EQUAL(c->sccp.max_connections, 20000);
	CU_ASSERT_EQUAL(c->sccp.max_preauth, 4096);
	CU_ASSERT(c->sccp.handshake_s == 10 && c->sccp.loops == 0);
	CU_ASSERT(c->sccp.keepalive_grace_s == 45 && c->sccp.register_rate == 2000 && c->sccp.reset_rate == 20 && c->sccp.mic_only &&
	          c->sccp.duplicate == CFG_DUPLICATE_EVICT && c->sccp.auto_last == 0);
	CU_ASSERT_STRING_EQUAL(c->signer.kek_file, "/var/lib/ravelin/signer/kek");
	CU_ASSERT_PTR_NULL(c->signer.pkcs11_uri);
	CU_ASSERT_STRING_EQUAL(c->signer.cluster_name, "ravelin");
	CU_ASSERT_EQUAL(c->signer.server_key, CFG_KEY_RSA_2048);
	CU_ASSERT_EQUAL(c->signer.server_names_count, 0);
	CU_ASSERT_EQUAL(c->signer.lsc_days, 1825);
	CU_ASSERT_EQUAL(c->signer.ca_days, 3650);
	CU_ASSERT_EQUAL(c->signer.server_days, 1825);
	CU_ASSERT_EQUAL(c->signer.trust_count, 0);
	CU_ASSERT_PTR_NULL(c->mgcp.local);
	CU_ASSERT_EQUAL(c->mgcp.answer_s, 60);
	CU_ASSERT_EQUAL(c->mgcp.agents_count, 0);
	CU_ASSERT_EQUAL(c->mgcp.claim, CFG_CLAIM_PARTNERS);
	CU_ASSERT_EQUAL(c->mgcp.audit_rate, 4000);
	CU_ASSERT_FALSE(c->capture.enabled); /* PC-02, PC-03: nothing is captured unless the service allows it */
	CU_ASSERT_EQUAL(c->capture.plain, CFG_CAPTURE_DENY);
	CU_ASSERT_STRING_EQUAL(c->capture.directory, "/var/lib/ravelin/captures");
	CU_ASSERT_EQUAL(c->capture.max_s, 600);
	CU_ASSERT_EQUAL(c->capture.max_mb, 256);
	CU_ASSERT_STRING_EQUAL(c->moh.directory, "/var/lib/ravelin/moh");
	CU_ASSERT_EQUAL(c->moh.sources_count, 0);
	CU_ASSERT_PTR_NULL(c->moh.user);
	CU_ASSERT_PTR_NULL(c->moh.network);
	CU_ASSERT_EQUAL(c->mgcp_local.family, 0);
	CU_ASSERT_EQUAL(c->sas_count, 0);
	CU_ASSERT(c->ipsec.policies_count == 0 && c->ipsec.dummy_pps == 0);
}

static void test_empty_is_defaults(void)
{
	static const char *const empty[] = {"",      "\n",         "# only this\n",
	                                    "---\n", "---\n...\n", "log:\nsccp:\n"};
	struct cfg *cfg;

	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		CU_ASSERT_EQUAL_FATAL(load(empty[i], &cfg), 0);
		check_defaults(cfg);
		cfg_free(cfg);
	}
	CU_ASSERT_EQUAL_FATAL(cfg_load(NULL, &cfg, err, sizeof(err)), 0);
	check_defaults(cfg);
	cfg_free(cfg);
	cfg_free(NULL);
}

static char *slurp(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "r");
	char *buf = calloc(1, 65536);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	*ret_len = fread(buf, 1, 65535, f);
	fclose(f);
	return buf;
}

static void test_example_is_defaults(void)
{
	const char *path = getenv("RAVELIN_EXAMPLE");
	struct cfg *cfg;

	CU_ASSERT_PTR_NOT_NULL_FATAL(path);
	CU_ASSERT_EQUAL_FATAL(cfg_load(path, &cfg, err, sizeof(err)), 0);
	check_defaults(cfg);
	cfg_free(cfg);
}

/* The example's comments are keys too: with "# " taken away from them and "[]" from the lists, it
 * loads. */
static void test_example_with_all_keys(void)
{
	size_t len;
	char *text = slurp(getenv("RAVELIN_EXAMPLE"), &len), *out = calloc(1, len + 2),
	     *save = NULL;
	struct cfg *cfg = NULL;
	size_t n = 0;
	int rc;

	for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char *list = strstr(l, ": [] ");
		size_t at = strspn(l, " ");

		if (strstr(l, "auth_key") != NULL)
			continue; /* not with GCM */
		if (at == 2 && strncmp(l + at, "# ", 2) == 0) {
			n += (size_t)sprintf(out + n, "%.*s%s\n", (int)at, l, l + at + 2);
			continue;
		}
		if (list != NULL && strstr(l, "server_names") == NULL && strstr(l, "trust") == NULL)
			memset(list + 2, ' ', 2);
		n += (size_t)sprintf(out + n, "%s\n", l);
	}
	rc = cfg_load_data((uint8_t *)out, n, &cfg, err, sizeof(err));
	CU_ASSERT_EQUAL(rc, 0);
	if (rc != 0)
		fprintf(stderr, "%s\n", err);
	if (cfg != NULL) {
		CU_ASSERT_EQUAL(cfg->dataplane.ports_count, 1);
		CU_ASSERT_EQUAL(cfg->dataplane.ports[0].gw6.family, 6);
		CU_ASSERT_EQUAL(cfg->dataplane.ports[0].vlan, 100);
		CU_ASSERT_EQUAL(cfg->dataplane.ports[0].mtu, 9000);
		CU_ASSERT_EQUAL(cfg->dataplane.ports[0].mac_addr[0], 2);
		CU_ASSERT_EQUAL(cfg->dataplane.ports[0].mac_addr[5], 1);
		CU_ASSERT_STRING_EQUAL(cfg->dataplane.ports[0].punt, "eth1p");
		CU_ASSERT_EQUAL(cfg->media.addresses_count, 1);
		CU_ASSERT_STRING_EQUAL(cfg->media.addresses[0].region, "default");
		CU_ASSERT_EQUAL(cfg->mgcp_local.port, 2727);
		CU_ASSERT_EQUAL_FATAL(cfg->mgcp.agents_count, 2);
		CU_ASSERT_STRING_EQUAL(cfg->mgcp.agents[1], "ca2@[192.0.2.11]:2727");
		CU_ASSERT_EQUAL(cfg->sas_count, 1);
		CU_ASSERT_EQUAL(cfg->sas[0].spi, 0x1001);
		CU_ASSERT_STRING_EQUAL(cfg->signer.pkcs11_uri, "pkcs11:token=ravelin");
	}
	cfg_free(cfg);
	free(text);
	free(out);
}

/* Cut at every length, and with bytes changed: an error with a message, or a configuration. */
static void test_cut_and_garbled(void)
{
	static const char whole[] =
		PORT "media: {addresses: [{address: 10.0.0.1}]}\nipsec:\n  sas:\n    - " SA "\n";
	uint32_t seed = 1;

	for (size_t len = 0; len <= sizeof(whole) - 1; len++) {
		uint8_t *exact = malloc(len > 0 ? len : 1);
		struct cfg *cfg = NULL;
		int rc;

		memcpy(exact, whole, len);
		rc = cfg_load_data(exact, len, &cfg, err, sizeof(err));
		CU_ASSERT((rc == 0 && cfg != NULL && err[0] == '\0') ||
		          (rc == -EINVAL && cfg == NULL && err[0] != '\0'));
		cfg_free(cfg);
		for (int k = 0; k < 4 && len > 0; k++) {
			seed = seed * 1664525 + 1013904223;
			exact[(seed >> 8) % len] = (uint8_t)(seed >> 24);
		}
		cfg = NULL;
		rc = cfg_load_data(exact, len, &cfg, err, sizeof(err));
		CU_ASSERT((rc == 0 && cfg != NULL) ||
		          (rc == -EINVAL && cfg == NULL && err[0] != '\0'));
		cfg_free(cfg);
		free(exact);
	}
}

static void test_files(void)
{
	char path[] = "/tmp/test-config-XXXXXX";
	struct cfg *cfg = NULL;
	int fd;

	CU_ASSERT_EQUAL(cfg_load("/nonexistent/x.yaml", &cfg, err, sizeof(err)), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nonexistent/x.yaml"));
	CU_ASSERT_EQUAL(cfg_load("/", &cfg, err, sizeof(err)), -EISDIR);
	fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, "log: {levl: x}\n", 15), 15);
	CU_ASSERT_EQUAL(cfg_load(path, &cfg, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, path));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, ": line 1: unknown key \"log.levl\""));
	CU_ASSERT_EQUAL(ftruncate(fd, 1024 * 1024 + 1), 0);
	CU_ASSERT_EQUAL(cfg_load(path, &cfg, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "1 MiB"));
	close(fd);
	unlink(path);
}

static void test_prefix_is_per_run(void)
{
	struct cfg *a, *b;

	CU_ASSERT_EQUAL_FATAL(
		load("paths:\n  run: /tmp/a/very/long/directory/name/that/goes/on/1\n", &a), 0);
	CU_ASSERT_EQUAL_FATAL(
		load("paths:\n  run: /tmp/a/very/long/directory/name/that/goes/on/2\n", &b), 0);
	CU_ASSERT_STRING_NOT_EQUAL(a->dataplane.file_prefix, b->dataplane.file_prefix);
	CU_ASSERT(strlen(a->dataplane.file_prefix) <= 40);
	cfg_free(a);
	cfg_free(b);
}

static void test_addresses(void)
{
	static const char *const good[] = {"1.2.3.4", "1.2.3.4/24", "1.2.3.4:5",
	                                   "::1",     "fd00::1/64", "[fd00::1]:99"};
	static const char *const wrong[] = {
		"",     "1.2.3",  "1.2.3.4/33", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4/",
		"[::1", "[::1]x", "::1/129",    "x",         "1.2.3.4/24:5",  "[::1]/64"};
	struct cfg_addr a;
	char buf[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(cfg_addr_parse(good[i], &a), 0);
		CU_ASSERT_STRING_EQUAL(cfg_addr_print(&a, buf, sizeof(buf)), good[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(cfg_addr_parse(wrong[i], &a), -EINVAL);
}

static void test_devices(void)
{
	static const char *const good[] = {
		"pci:0000:3b:00.0", "pci:3b:00.1", "af_packet:eth0", "af_xdp:enp1s0f0.5", "tap:t0", "ring", "ring:a", "null",
		"null:b_2", "pcap:/x/in.pcap", "pcap:in,tx=out", "pcap:in,infinite", "pcap:in,infinite,tx=/o",
		"memif:socket=/run/m", "memif:id=1,socket=/run/m,role=client,secret=x", "memif:role=server,socket=@m",
	};
	static const char *const bad[] = {
		"", ":", "eth0", "pci:", "pci:x", "pci:1,2", "af_packet:", "af_packet:a,b", "af_packet:a/b",
		"af_packet:abcdefghijklmnop", "af_packet:a b", "af_xdp:", "tap:", "tap:..", "ring:", "ring:a,b", "rings",
		"null:", "null:abcdefghijklmnop", "pcap:", "pcap:a,", "pcap:a,tx=", "pcap:a,tx=b,tx=c", "pcap:a,other",
		"pcap:a b", "pcap:,tx=b", "pcap:a,infinite,infinite", "memif:", "memif:id=1", "memif:socket=",
		"memif:socket=/m,", "memif:socket=/m,role=s", "memif:socket=/m,x=1", "memif:socket", "memif:socket=/m,,id=1",
		"af_packet", "virtio:x", "pc:1", "af_packets:x",
	};
	char why[120];

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_ASSERT_EQUAL(cfg_device_check(good[i], why, sizeof(why)), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		CU_ASSERT_EQUAL(cfg_device_check(bad[i], why, sizeof(why)), -EINVAL);
		CU_ASSERT_NOT_EQUAL(why[0], '\0');
	}
}

static CU_TestInfo tests[] = {
	{"devices of ports", test_devices},
	{"what is wrong is named, with its line", test_refused},
	{"each field of an SA is checked, no key is printed", test_sa},
	{"SAs follow gateways", test_sas_of_gateways},
	{"policies", test_policies},
	{"an empty file is the defaults", test_empty_is_defaults},
	{"the example is the defaults", test_example_is_defaults},
	{"the example's commented keys are keys", test_example_with_all_keys},
	{"cut and garbled files", test_cut_and_garbled},
	{"files that are not there, too large, named in the error", test_files},
	{"EAL prefix differs by run directory", test_prefix_is_per_run},
	{"addresses", test_addresses},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("config", tests, NULL, NULL)
