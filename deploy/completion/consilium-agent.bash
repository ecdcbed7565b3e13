# SPDX-License-Identifier: Apache-2.0
# bash completion of consilium-agent: commands, their options, files and folders.
# tests/lint/commands.sh holds the lists against the table in agent/cli/main.c.

_consilium_agent() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "enrol policy check-data run show approve refuse budget head --help" \
            -- "$word"))
        return
    fi
    case $before in
    --data) COMPREPLY=($(compgen -d -- "$word")) && return ;;
    --plan | --install | --vault) COMPREPLY=($(compgen -f -- "$word")) && return ;;
    esac
    if [[ $word == -* ]]; then
        case ${COMP_WORDS[1]} in
        enrol) options="--name --install --yes --json" ;;
        policy) options="--write --json" ;;
        check-data) options="--plan --data --json" ;;
        head) options="--accept --json" ;;
        run) options="--data --vault --without-landlock" ;;
        *) options="--json" ;;
        esac
        COMPREPLY=($(compgen -W "$options --help" -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -d -- "$word"))
}
complete -o filenames -F _consilium_agent consilium-agent
