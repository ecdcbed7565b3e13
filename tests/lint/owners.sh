# SPDX-License-Identifier: Apache-2.0
# Third-party headers and the files that may include them. Sourced by tests/lint/run.sh.
owner cblas.h linalg/blas.c
owner MQTT proto/mqtt_client.c
owner sqlite3.h proto/base/db.c
owner cyaml/ proto/base/conf.h
owner yaml.h proto/base/conf_values.c
owner protobuf-c/ proto/codec_field.h
owner zstd.h proto/compress/planes.c
owner openssl/ proto/tls_floor.c
owner mbedtls/ proto/pki_mbedtls.h proto/pki.c proto/pki_issue.c proto/pki_revoke.c
