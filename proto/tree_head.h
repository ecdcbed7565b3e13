/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the audit log's Merkle tree: signed by the coordinator, signed again by each site that
 * found the new head to contain the one it held. */
#ifndef CONSILIUM_TREE_HEAD_H
#define CONSILIUM_TREE_HEAD_H

#include "proto/merkle.h"

enum {
    TREE_HEAD_ORIGIN_BYTES = 64,
    TREE_HEAD_SIGNATURE_BYTES = 64,
    TREE_HEAD_PUBLIC_BYTES = 32,
    TREE_HEAD_SECRET_BYTES = 64,
};

struct tree_head {
    char origin[TREE_HEAD_ORIGIN_BYTES]; /* the consortium */
    uint64_t size;                       /* entries */
    struct merkle_hash root;
    uint64_t ms; /* when it was signed */
};

/* Ed25519 over the text "consilium tree head 1\nORIGIN\nSIZE\nROOT\nMS\n" (ROOT in hexadecimal);
 * a witness signs the same behind "consilium tree witness 1\n". */
void tree_head_sign(const struct tree_head *head, const unsigned char *secret,
                    unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]);
bool tree_head_signed(const struct tree_head *head, const unsigned char *key,
                      const unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]);
void tree_head_witness(const struct tree_head *head, const unsigned char *secret,
                       unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]);
bool tree_head_witnessed(const struct tree_head *head, const unsigned char *key,
                         const unsigned char signature[TREE_HEAD_SIGNATURE_BYTES]);

#endif
