/* SPDX-License-Identifier: Apache-2.0 */
/* consilium privacy audit-run: attacks a plan's release mechanism and prints what the attack
 * refutes beside what the accountant claims. */
#include "coordinator/cli/cmd_privacy.h"
#include "privacy/accountant.h"
#include "privacy/canary.h"
#include "privacy/rehearsal.h"
#include "proto/plan_privacy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "usage: consilium privacy audit-run --plan PLAN.yaml [--patients N] [OPTION ...]\n"
    "       consilium privacy audit-run --rate Q --noise S --steps T --delta D [--clip C] [OPTION "
    "...]\n"
    "\n"
    "Rehearses the release mechanism with canaries: made-up patients, each in or out by a coin "
    "that the\n"
    "attack must guess from all releases. Prints the claimed epsilon beside the refuted one, and "
    "tests\n"
    "noise, sampling and clipping directly. Exit code 1 when anything contradicts the claim. An "
    "audit\n"
    "can refute a claim; it never confirms one.\n"
    "\n"
    "  --canaries M   how many (1000)       --beta B    probability of a false alarm (0.05)\n"
    "  --fault NAME   breaks the mechanism on purpose: no-noise, quarter-noise, half-noise,\n"
    "                 unscaled-noise, no-clipping\n"
    "  --json\n";

/* Beyond this many standard errors a direct test contradicts the plan. */
#define DIRECT_Z 5.0

static struct result from_plan(const char *path, double patients, struct rehearsal_options *o,
                               double *ret_claim, struct why *why)
{
    struct plan plan;
    struct plan_cost cost;
    TRY(plan_load(&plan, path, NULL, NULL, why));
    struct result r = plan.privacy.mode == PRIVACY_NONE
                          ? failed(why, RESULT_INPUT, "%s has no privacy to audit", path)
                          : plan_cost(&plan, (uint64_t)patients, &cost, why);
    if (ok(r)) {
        plan.privacy.metrics_noise =
            0.0; /* the attack sees the training alone, so does the claim */
        r = plan_cost(&plan, (uint64_t)patients, &cost, why);
    }
    if (ok(r)) {
        o->rate = plan.privacy.sampling_rate;
        o->noise = cost.noise_multiplier;
        o->clip = plan.privacy.clip_norm;
        o->steps = cost.steps;
        o->delta = plan.privacy.delta;
        *ret_claim = cost.bound.upper;
    }
    plan_free(&plan);
    return r;
}

static struct result from_numbers(int *argc, char **argv, struct rehearsal_options *o,
                                  double *ret_claim, struct why *why)
{
    double steps = 0.0;
    o->clip = 1.0;
    TRY(take_number(argc, argv, "--rate", true, &o->rate, why));
    TRY(take_number(argc, argv, "--noise", true, &o->noise, why));
    TRY(take_number(argc, argv, "--steps", true, &steps, why));
    TRY(take_number(argc, argv, "--delta", true, &o->delta, why));
    TRY(take_number(argc, argv, "--clip", false, &o->clip, why));
    if (!(steps >= 1.0 && steps <= REHEARSAL_STEPS_MAX))
        return failed(why, RESULT_INPUT, "--steps must be 1 to %d", REHEARSAL_STEPS_MAX);
    o->steps = (uint64_t)steps;
    struct event_list *events = calloc(1, sizeof *events);
    if (!events)
        return failed(why, RESULT_SYSTEM, "out of memory");
    events->count = 1;
    events->events[0] = (struct privacy_event){.kind = EVENT_GAUSSIAN,
                                               .steps = o->steps,
                                               .q = o->rate,
                                               .noise = o->noise};
    struct accountant_bound bound;
    enum accountant_result r = accountant_epsilon(events, o->delta, NULL, &bound);
    free(events);
    if (r != ACCOUNTANT_OK)
        return failed(why, RESULT_INPUT, "%s", accountant_text(r));
    *ret_claim = bound.upper;
    return DONE;
}

static struct result take_options(int *argc, char **argv, struct rehearsal_options *o,
                                  double *ret_claim, struct why *why)
{
    double canaries = 1000.0, patients = 500.0;
    const char *fault = cli_take_option(argc, argv, "--fault");
    const char *plan = cli_take_option(argc, argv, "--plan");
    o->beta = 0.05;
    TRY(take_number(argc, argv, "--canaries", false, &canaries, why));
    TRY(take_number(argc, argv, "--beta", false, &o->beta, why));
    TRY(take_number(argc, argv, "--patients", false, &patients, why));
    if (!(canaries >= 10.0 && canaries <= REHEARSAL_CANARIES_MAX) ||
        !(patients >= 1.0 && patients <= 1e9))
        return failed(why, RESULT_INPUT, "--canaries must be 10 to %d, --patients 1 to 1e9",
                      REHEARSAL_CANARIES_MAX);
    o->canaries = (size_t)canaries;
    if (fault) {
        int f = rehearsal_fault_by_name(fault);
        if (f < 0)
            return failed(why, RESULT_INPUT, "'%s' is not a fault; --help lists them", fault);
        o->fault = (enum rehearsal_fault)f;
    }
    TRY(plan ? from_plan(plan, patients, o, ret_claim, why)
             : from_numbers(argc, argv, o, ret_claim, why));
    return refuse_rest(*argc, argv, why);
}

static void print_text(const struct rehearsal_options *o, const struct rehearsal_result *r,
                       double claim, bool flagged)
{
    printf("claimed    epsilon <= %.4f at delta %.1g (%llu steps, rate %g, noise %.4f, clip %g)\n",
           claim, o->delta, (unsigned long long)o->steps, o->rate, o->noise, o->clip);
    printf(
        "audited    epsilon >= %.4f (one run, %zu canaries, %llu of %llu guesses right, %g %%)\n",
        r->epsilon_bound, o->canaries, (unsigned long long)r->audit.right,
        (unsigned long long)r->audit.guesses, 100.0 * (1.0 - o->beta));
    if (isfinite(r->epsilon_bound_gaussian))
        printf("           epsilon >= %.4f if the mechanism is Gaussian\n",
               r->epsilon_bound_gaussian);
    printf("noise      %.5f of the planned scale (z = %+.1f)\n", r->noise_ratio, r->noise_z);
    printf("sampling   z = %+.1f\n", r->sampling_z);
    printf("clipping   largest contribution %.6f of the clip norm\n", r->clip_ratio);
    if ((double)r->audit.guesses < canary_guesses_needed(claim))
        printf("note       %llu guesses cannot refute this epsilon; %.0f could (--canaries %.0f)\n",
               (unsigned long long)r->audit.guesses, canary_guesses_needed(claim),
               10.0 * canary_guesses_needed(claim));
    puts(flagged ? "FLAGGED: the mechanism does not keep what is claimed"
                 : "nothing contradicts the claim; an audit never confirms it");
}

int cmd_privacy_audit_run(int argc, char **argv)
{
    struct rehearsal_options o = {0};
    struct rehearsal_result r = {0};
    struct why why = {0};
    double claim = NAN;
    if (cli_take_flag(&argc, argv, "--help") || cli_take_flag(&argc, argv, "-h")) {
        fputs(HELP, stdout);
        return CLI_OK;
    }
    bool json = cli_take_flag(&argc, argv, "--json");
    struct result rc = take_options(&argc, argv, &o, &claim, &why);
    if (ok(rc)) {
        int code = rehearsal_run(&o, &r);
        if (code != 0)
            rc = failed(&why, code == -2 ? RESULT_SYSTEM : RESULT_INPUT,
                        code == -2 ? "out of memory" : "a constant is out of range");
    }
    if (!ok(rc))
        return cli_fail(rc, &why);
    bool flagged = r.epsilon_bound > claim || fabs(r.noise_z) > DIRECT_Z ||
                   fabs(r.sampling_z) > DIRECT_Z || r.clip_ratio > 1.0 + 1e-6;
    if (json) {
        printf("{");
        print_json_number("epsilon_claimed", claim, ", ");
        print_json_number("epsilon_audited", r.epsilon_bound, ", ");
        print_json_number("epsilon_audited_gaussian", r.epsilon_bound_gaussian, ", ");
        print_json_number("confidence", 1.0 - o.beta, ", ");
        print_json_number("canaries", (double)o.canaries, ", ");
        print_json_number("guesses", (double)r.audit.guesses, ", ");
        print_json_number("right", (double)r.audit.right, ", ");
        print_json_number("noise_ratio", r.noise_ratio, ", ");
        print_json_number("noise_z", r.noise_z, ", ");
        print_json_number("sampling_z", r.sampling_z, ", ");
        print_json_number("clip_ratio", r.clip_ratio, ", ");
        printf("\"flagged\": %s}\n", flagged ? "true" : "false");
    } else {
        print_text(&o, &r, claim, flagged);
    }
    return flagged ? CLI_FAILED : CLI_OK;
}
