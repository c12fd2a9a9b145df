# Completion of spinreg for fish: `spinreg completions fish | source`.
function __spinreg_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    set -l found ($program __complete --current=$current -- $words 2>/dev/null)
    if test (count $found) -eq 0
        __fish_complete_path $current
    else
        printf '%s\n' $found
    end
end
complete -c spinreg -f -k -a '(__spinreg_complete)'
