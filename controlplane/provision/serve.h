/* SPDX-License-Identifier: BSD-3-Clause */
/* The servers that phones boot from, made from the configuration: TFTP, HTTP, and their command "show provision". */
#ifndef CP_PROVISION_SERVE_H
#define CP_PROVISION_SERVE_H

struct cp_app;

/** Start them on app->files. Waits for the signer: only at start, on the event loop. 0, or a negative errno that was logged. */
int cp_serve_open(struct cp_app *app);
/** End transfers, connections and threads. Before cp_files_stop(); may be called when open failed. */
void cp_serve_close(struct cp_app *app);

#endif
