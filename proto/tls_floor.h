/* SPDX-License-Identifier: Apache-2.0 */
/* No connection of this process speaks anything older than TLS 1.3. */
#ifndef CONSILIUM_TLS_FLOOR_H
#define CONSILIUM_TLS_FLOOR_H

#include "proto/base/result.h"

/* Sets OpenSSL's floor for every context made after it, whatever the system's configuration says,
 * and checks on a context that it holds. Once per process, before the first client; repeating it is
 * harmless. RESULT_SYSTEM when the floor does not hold: then connect to nothing. */
struct result tls_floor(struct why *why) MUST_CHECK;

#endif
