#compdef spinreg
# Completion of spinreg for zsh: `source <(spinreg completions zsh)`, or as a file `_spinreg` in a directory of $fpath.
_spinreg() {
    local -a lines going ending going_help ending_help
    local line word
    lines=("${(@f)$("${words[1]}" __complete --current="$PREFIX" -- "${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
    for line in "${(@)lines}"; do
        word=${line%%$'\t'*}
        if [[ -z $word ]]; then
            continue
        elif [[ $word == *[/=:] ]]; then
            going+=("$word") going_help+=("${line/$'\t'/  -- }")
        else
            ending+=("$word") ending_help+=("${line/$'\t'/  -- }")
        fi
    done
    if (( ! $#going && ! $#ending )); then
        _files
        return
    fi
    (( $#ending )) && compadd -l -d ending_help -a ending
    (( $#going )) && compadd -S '' -l -d going_help -a going
    return 0
}
if [[ ${funcstack[1]-} == _spinreg ]]; then
    _spinreg "$@"
else
    compdef _spinreg spinreg
fi
