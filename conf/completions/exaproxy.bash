# Completion of exaproxy for bash, made from its table of switches.
_exaproxy() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    # bash takes --name=word apart.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
    -c|--conf-file|--upgrade|--blacklist|--auth-file)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ;;
    --log-dir)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        ;;
    --host)
        mapfile -t COMPREPLY < <(compgen -W '127.0.0.1 0.0.0.0 ::1 :: localhost' -- "$word")
        ;;
    --check-name|--port|--max-connections) COMPREPLY=() ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W '--help --help-options --conf-file --ini --env --diff-ini --diff-env --check --check-name --hash-password --upgrade --debug --version --host --port --blacklist --auth-file --cache --log-dir --max-connections' -- "$word")
        ;;
    esac
}
complete -F _exaproxy exaproxy
