/* SPDX-License-Identifier: Apache-2.0 */
/* consilium audit prove. */
#ifndef CONSILIUM_COORDINATOR_CLI_AUDIT_PROVE_H
#define CONSILIUM_COORDINATOR_CLI_AUDIT_PROVE_H

int audit_prove(int argc, char **argv);

#endif
