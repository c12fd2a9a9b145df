# Completion of spinreg for bash: `source <(spinreg completions bash)`.
_spinreg() {
    # Readline breaks words at `:`, `=` and `@`, of which references are full: they are put together again.
    local rest=${COMP_LINE:0:COMP_POINT} words=('') last=0 part i
    rest=${rest#*"${COMP_WORDS[0]}"}
    rest=${COMP_WORDS[0]}$rest
    for ((i = 0; i < COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        rest=${rest#"$part"}
        words[last]+=$part
        if [[ $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words[++last]=
        fi
    done
    words[last]+=$rest

    # Only what stands behind the last break is replaced.
    local word=${words[last]} cut= found
    cut=${word%"${word##*[$COMP_WORDBREAKS]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r found _; do
        COMPREPLY+=("${found#"$cut"}")
    done < <("${words[0]}" __complete --current="$word" -- "${words[@]:1:last-1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _spinreg spinreg
