# bash completion for mailhatch(8)

_mailhatch() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' word index
    local envelope='--sender= --recipient= --original-recipient= --client-address= --client-helo= --client-name= --queue-id='
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        case $word in
            --config) ((index++)) ;;
            serve | pipe | explain | check | fetch | inbox | held | credential | import | demo)
                command=$word
                break
                ;;
        esac
    done
    if [[ $prev == --config || $prev == --postfix-config ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    case $command in
        '') mapfile -t COMPREPLY < <(compgen -W 'serve pipe explain check fetch inbox held credential import demo --config --help --version' -- "$cur") ;;
        pipe) mapfile -t COMPREPLY < <(compgen -W "$envelope --help" -- "$cur") ;;
        explain)
            if [[ $cur == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$envelope --json --inbox --uid --help" -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            fi
            ;;
        check) mapfile -t COMPREPLY < <(compgen -W '--send --postfix-config --help' -- "$cur") ;;
        fetch) mapfile -t COMPREPLY < <(compgen -W '--inbox --once --dry-run --help' -- "$cur") ;;
        inbox)
            case $prev in
                inbox) mapfile -t COMPREPLY < <(compgen -W 'list show retry restart --help' -- "$cur") ;;
                show | retry | restart) mapfile -t COMPREPLY < <(compgen -W "$(mailhatch inbox list 2>/dev/null | awk '{ print $1 }')" -- "$cur") ;;
                *) mapfile -t COMPREPLY < <(compgen -W '--since=now --since=unseen --since=all' -- "$cur") ;;
            esac
            ;;
        import) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        held)
            case $prev in
                held) mapfile -t COMPREPLY < <(compgen -W 'list show release purge --help' -- "$cur") ;;
                # The ids are readable for root and mailhatch alone; for others nothing is offered.
                show | release) mapfile -t COMPREPLY < <(compgen -W "$(mailhatch held list 2>/dev/null | awk '{ print $1 }')" -- "$cur") ;;
            esac
            ;;
        credential)
            case $prev in
                credential) mapfile -t COMPREPLY < <(compgen -W 'set edit show list remove --help' -- "$cur") ;;
                --unit) mapfile -t COMPREPLY < <(compgen -W 'fetch serve' -- "$cur") ;;
                # For others than root nothing is offered.
                set | edit | show | remove) mapfile -t COMPREPLY < <(compgen -W "$(mailhatch credential list 2>/dev/null)" -- "$cur") ;;
                *) mapfile -t COMPREPLY < <(compgen -W '--user= --unit --help' -- "$cur") ;;
            esac
            ;;
        *) mapfile -t COMPREPLY < <(compgen -W '--help' -- "$cur") ;;
    esac
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
}

complete -F _mailhatch mailhatch
