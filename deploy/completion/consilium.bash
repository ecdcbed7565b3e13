# SPDX-License-Identifier: Apache-2.0
# bash completion of consilium: commands, their options, files and folders.
# tests/lint/commands.sh holds the lists against the tables in coordinator/cli.

_consilium_options() {
    case $1 in
    init) echo "--name --host --port --json" ;;
    'site request') echo "--name --role --json" ;;
    'site approve' | 'site install') echo "--yes --json" ;;
    'site revoke') echo "--reason --json" ;;
    'site list') echo "--json" ;;
    'site release') echo "--study --reason --as --json" ;;
    'privacy epsilon') echo "--events --delta --adjacency --grid --json" ;;
    'privacy delta') echo "--events --epsilon --adjacency --grid --json" ;;
    'privacy calibrate') echo "--events --epsilon --delta --adjacency --grid --json" ;;
    'privacy bound') echo "--canaries --guesses --right --delta --beta --json" ;;
    'privacy check') echo "--json" ;;
    'privacy statement') echo "--patients --audit --json" ;;
    'privacy ledger') echo "--as --json" ;;
    'privacy audit-run') echo "--plan --patients --rate --noise --steps --delta --clip --canaries --beta --fault --json" ;;
    'plan check') echo "--patients --json" ;;
    stats) echo "--case --json" ;;
    aggregate) echo "--rule --f --weights --param --in --out --threads --explain --list --check --json" ;;
    'codec encode') echo "--codec --in --out --seed" ;;
    'codec decode') echo "--in --out" ;;
    'codec stats') echo "--codec --in --seed --json" ;;
    simulate) echo "--plan --data --attack --hostile --rounds --out --json" ;;
    launch | watch | status | stop | resume) echo "--as --json" ;;
    report) echo "--out --as --json" ;;
    'model export' | 'audit export') echo "--out --as --json" ;;
    'gate look') echo "--wait --as --json" ;;
    'gate pccp') echo "set show check --before --as --json" ;;
    'gate policy') echo "set show --as --json" ;;
    'gate explain' | 'gate ledger' | 'model list' | 'model show') echo "--as --json" ;;
    'model promote' | 'model suspend' | 'model resume' | 'model retire' | 'model rollback')
        echo "--reason --as --json" ;;
    'model passport') echo "--out --verify --audit --max-age --format --sign-human --as --json" ;;
    validate) echo "--model --study --sites --wait --task --list --as --json" ;;
    'monitor start') echo "--looks --interval --owner --as --json" ;;
    'monitor look') echo "--wait --as --json" ;;
    monitor*) echo "--as --json" ;;
    'incident open') echo "--severity --text --as --json" ;;
    incident*) echo "--as --json" ;;
    'audit prove') echo "--entry --out --check --as --json" ;;
    'audit verify') echo "--as --since --head --threads --log-only --json" ;;
    esac
}

_consilium_below() {
    case $1 in
    site) echo "request approve install revoke list release" ;;
    privacy) echo "epsilon delta calibrate bound check statement ledger audit-run" ;;
    plan) echo "check" ;;
    codec) echo "encode decode stats" ;;
    model) echo "export list show promote suspend resume retire rollback passport" ;;
    gate) echo "explain look policy pccp ledger" ;;
    monitor) echo "start stop list show look" ;;
    incident) echo "open list acknowledge contain report close" ;;
    audit) echo "export prove verify" ;;
    stats) echo "auroc auroc-paired auroc-unpaired calibration drift mmd permutation pool
        group-sequential eprocess subgroup suppression matrix hist-auc conformal cindex aacp gate
        merkle hash-chain prng" ;;
    esac
}

_consilium() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local first=${COMP_WORDS[1]} name
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "init site privacy plan stats aggregate codec simulate launch watch
            status report gate validate monitor incident model audit stop resume version --help" -- "$word"))
        return
    fi
    case $before in
    --role) COMPREPLY=($(compgen -W "site researcher auditor operator" -- "$word")) && return ;;
    --adjacency) COMPREPLY=($(compgen -W "add-remove replace" -- "$word")) && return ;;
    --codec)
        COMPREPLY=($(compgen -W "none raw32 bf16 int8b eden-1 eden-2 eden-3 eden-4 eden-8
            topk-ef: randk-shared:" -- "$word"))
        return
        ;;
    --as | --data) COMPREPLY=($(compgen -d -- "$word")) && return ;;
    --plan | --in | --out | --weights | --check | --case) COMPREPLY=($(compgen -f -- "$word")) && return ;;
    esac
    if [ "$COMP_CWORD" -eq 2 ] && [[ $word != -* ]] && [ -n "$(_consilium_below "$first")" ]; then
        COMPREPLY=($(compgen -W "$(_consilium_below "$first")" -- "$word"))
        return
    fi
    if [[ $word == -* ]]; then
        name=$first
        [ "$first" = stats ] || [ -z "$(_consilium_below "$first")" ] || name="$first ${COMP_WORDS[2]}"
        COMPREPLY=($(compgen -W "$(_consilium_options "$name") --help" -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _consilium consilium
