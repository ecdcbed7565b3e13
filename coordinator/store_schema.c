/* SPDX-License-Identifier: Apache-2.0 */
/* The tables. A migration that was released is never edited; a change is a new one at the end. */
#include "coordinator/store_schema.h"

static const char FIRST[] =
    /* One row a study; launch is the researcher's signed envelope, byte for byte. */
    "CREATE TABLE studies("
    "  name TEXT PRIMARY KEY, plan_hash BLOB NOT NULL, researcher TEXT NOT NULL,"
    "  plan BLOB NOT NULL, launch BLOB NOT NULL,"
    "  phase INTEGER NOT NULL, rounds INTEGER NOT NULL, every INTEGER NOT NULL,"
    "  quorum INTEGER NOT NULL, allowance_ms INTEGER NOT NULL, round INTEGER NOT NULL,"
    "  tasks INTEGER NOT NULL, aborts INTEGER NOT NULL, best_round INTEGER NOT NULL,"
    "  best_score REAL NOT NULL, model BLOB NOT NULL, candidate BLOB NOT NULL,"
    "  evaluation BLOB NOT NULL, best BLOB NOT NULL, reason TEXT NOT NULL,"
    "  launched_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
    "  gather_ms INTEGER NOT NULL, nudge_ms INTEGER NOT NULL, closed INTEGER NOT NULL) STRICT;"
    "CREATE TABLE members("
    "  study TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,"
    "  verdict INTEGER NOT NULL, live INTEGER NOT NULL, reason TEXT NOT NULL,"
    "  declared_patients INTEGER NOT NULL, epsilon_budget REAL NOT NULL,"
    "  fingerprint BLOB NOT NULL, PRIMARY KEY(study, position)) STRICT;"
    "CREATE TABLE tasks("
    "  study TEXT NOT NULL, task INTEGER NOT NULL, kind INTEGER NOT NULL,"
    "  round INTEGER NOT NULL, phase INTEGER NOT NULL, quorum INTEGER NOT NULL,"
    "  extensions INTEGER NOT NULL, opened_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL,"
    "  nudge_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL, allowance_ms INTEGER NOT NULL,"
    "  reason TEXT NOT NULL, PRIMARY KEY(study, task)) STRICT;"
    /* Where each site stands, or stood, in a task. */
    "CREATE TABLE parts("
    "  study TEXT NOT NULL, task INTEGER NOT NULL, position INTEGER NOT NULL,"
    "  standing INTEGER NOT NULL, digest BLOB NOT NULL, reason TEXT NOT NULL,"
    "  PRIMARY KEY(study, task, position)) STRICT;"
    /* Admitted updates and evaluations, with the signed offer that names their hash. */
    "CREATE TABLE objects("
    "  study TEXT NOT NULL, task INTEGER NOT NULL, position INTEGER NOT NULL,"
    "  digest BLOB NOT NULL, payload BLOB NOT NULL, offer BLOB NOT NULL,"
    "  cipher_bytes INTEGER NOT NULL, received_ms INTEGER NOT NULL,"
    "  PRIMARY KEY(study, task, position)) STRICT;"
    "CREATE TABLE models("
    "  hash BLOB PRIMARY KEY, study TEXT NOT NULL, round INTEGER NOT NULL,"
    "  payload BLOB NOT NULL) STRICT;"
    /* The server optimiser after the last aggregated round. */
    "CREATE TABLE servers("
    "  study TEXT PRIMARY KEY, round INTEGER NOT NULL, state BLOB NOT NULL) STRICT;"
    /* Records of a closed task for people: JSON. */
    "CREATE TABLE records("
    "  study TEXT NOT NULL, task INTEGER NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL,"
    "  PRIMARY KEY(study, task, kind)) STRICT;"
    /* What was last heard of each member, against replay; what it said of itself. */
    "CREATE TABLE seen("
    "  member TEXT PRIMARY KEY, session BLOB NOT NULL, sequence INTEGER NOT NULL,"
    "  sent_ms INTEGER NOT NULL, software TEXT NOT NULL, peak_memory_kb INTEGER NOT NULL) STRICT;"
    /* The audit log, see chain.h. */
    "CREATE TABLE log("
    "  seq INTEGER PRIMARY KEY, ms INTEGER NOT NULL, study TEXT NOT NULL, kind TEXT NOT NULL,"
    "  entry BLOB NOT NULL, hash BLOB NOT NULL, signature BLOB NOT NULL) STRICT;"
    "CREATE INDEX log_of_study ON log(study, seq);";

/* Models that a gate has judged, who signed which of their moves, and incidents. */
static const char REGISTRY[] =
    "CREATE TABLE registry("
    "  hash BLOB PRIMARY KEY, study TEXT NOT NULL, round INTEGER NOT NULL, task INTEGER NOT NULL,"
    "  family BLOB NOT NULL, incumbent BLOB NOT NULL, decision INTEGER NOT NULL,"
    "  stage INTEGER NOT NULL, previous INTEGER NOT NULL, since_ms INTEGER NOT NULL,"
    "  was_promoted INTEGER NOT NULL, proposed_ms INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;"
    "CREATE TABLE stage_signatures("
    "  hash BLOB NOT NULL, move TEXT NOT NULL, signer TEXT NOT NULL, ms INTEGER NOT NULL,"
    "  envelope TEXT NOT NULL, PRIMARY KEY(hash, move, signer)) STRICT;"
    "CREATE TABLE incidents("
    "  id TEXT PRIMARY KEY, hash BLOB NOT NULL, text TEXT NOT NULL, severity INTEGER NOT NULL,"
    "  aware_ms INTEGER NOT NULL, acknowledged_ms INTEGER NOT NULL,"
    "  contained_ms INTEGER NOT NULL, reported_ms INTEGER NOT NULL,"
    "  closed_ms INTEGER NOT NULL) STRICT;";

static const char PATIENCE[] =
    "ALTER TABLE members ADD COLUMN misses INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN ask_from INTEGER NOT NULL DEFAULT 0;";

static const char LEDGERS[] =
    "ALTER TABLE seen ADD COLUMN ledger_records INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE seen ADD COLUMN ledger_head BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE seen ADD COLUMN ledger_key BLOB NOT NULL DEFAULT x'';";

/* The alpha ledger of each family of models; the consortium's signed papers that are in force, and
 * who has signed which. */
static const char PAPERS[] =
    "CREATE TABLE alpha_ledgers(family BLOB PRIMARY KEY, state TEXT NOT NULL) STRICT;"
    "CREATE TABLE papers("
    "  kind TEXT PRIMARY KEY, sha256 TEXT NOT NULL, text TEXT NOT NULL, signers INTEGER NOT NULL,"
    "  ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE paper_signatures("
    "  kind TEXT NOT NULL, sha256 TEXT NOT NULL, signer TEXT NOT NULL, operator INTEGER NOT NULL,"
    "  ms INTEGER NOT NULL, envelope TEXT NOT NULL, PRIMARY KEY(kind, sha256, signer)) STRICT;";

/* Finished models evaluated again, and the models that are watched: state is JSON (monitoring.h).
 */
static const char VALIDATION[] =
    "ALTER TABLE parts ADD COLUMN decline INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE validations("
    "  study TEXT NOT NULL, task INTEGER NOT NULL, model BLOB NOT NULL, asker TEXT NOT NULL,"
    "  command BLOB NOT NULL, look INTEGER NOT NULL, opened_ms INTEGER NOT NULL,"
    "  closed_ms INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY(study, task)) STRICT;"
    "CREATE TABLE monitors("
    "  model BLOB PRIMARY KEY, study TEXT NOT NULL, running INTEGER NOT NULL,"
    "  next_ms INTEGER NOT NULL, state TEXT NOT NULL) STRICT;"
    "CREATE TABLE looks("
    "  model BLOB NOT NULL, task INTEGER NOT NULL, ms INTEGER NOT NULL, record TEXT NOT NULL,"
    "  PRIMARY KEY(model, task)) STRICT;";

/* Secure aggregation: where a round stands between its stages. */
static const char SECURE[] = "ALTER TABLE studies ADD COLUMN threshold INTEGER NOT NULL DEFAULT 0;"
                             "ALTER TABLE studies ADD COLUMN input BLOB NOT NULL DEFAULT x'';"
                             "ALTER TABLE members ADD COLUMN stage INTEGER NOT NULL DEFAULT 0;";

/* The log's head that each site holds. */
static const char WITNESSES[] =
    "CREATE TABLE witnesses("
    "  site TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, ms INTEGER NOT NULL,"
    "  signature BLOB NOT NULL, answer INTEGER NOT NULL, heard_ms INTEGER NOT NULL) STRICT;";

/* What the updates of a site were flagged for, and whether they are set aside for it. */
static const char CONDUCT[] =
    "ALTER TABLE studies ADD COLUMN quarantine INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE studies ADD COLUMN counting INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN reputation REAL NOT NULL DEFAULT 1;"
    "ALTER TABLE members ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN flagged INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN open_flags INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE members ADD COLUMN quarantine TEXT NOT NULL DEFAULT '';";

/* Later looks of the gate, at patients of newer holdout epochs. */
static const char GATE_LOOKS[] =
    "ALTER TABLE parts ADD COLUMN epochs_after INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE validations ADD COLUMN gate INTEGER NOT NULL DEFAULT 0;";

const char *const STORE_MIGRATIONS[] = {FIRST,      REGISTRY, PATIENCE,  LEDGERS, PAPERS,
                                        VALIDATION, SECURE,   WITNESSES, CONDUCT, GATE_LOOKS};
const unsigned STORE_MIGRATIONS_COUNT = sizeof STORE_MIGRATIONS / sizeof STORE_MIGRATIONS[0];
