# bash completion for mailhatch-postfix(8)

_mailhatch_postfix() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
        -c) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
        --variant) mapfile -t COMPREPLY < <(compgen -W 'lmtp pipe' -- "$cur") ;;
        --program) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        --user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
        --socket) ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'enable disable status -c --refuse --variant --dry-run --yes --no-reload --socket --program --user --help' -- "$cur") ;;
    esac
}

complete -F _mailhatch_postfix mailhatch-postfix
