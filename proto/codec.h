/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to bytes and back, every limit checked; the protobuf structs stay behind this header. */
#ifndef CONSILIUM_CODEC_H
#define CONSILIUM_CODEC_H

#include "proto/message.h"

/* Encodes into *ret_bytes (owned by the caller, free). RESULT_INPUT when a field breaks its limit
 * or the result would exceed MESSAGE_BYTES_MAX less the signature. */
struct result message_encode(const struct message *message, unsigned char **ret_bytes,
                             size_t *ret_n, struct why *why) MUST_CHECK;

/* Decodes n bytes. RESULT_INPUT names the field that is missing, too long or out of range; *message
 * is then undefined. */
struct result message_decode(struct message *message, const unsigned char *bytes, size_t n,
                             struct why *why) MUST_CHECK;

#endif
