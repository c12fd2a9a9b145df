# Completion of spinreg for Elvish: `eval (spinreg completions elvish | slurp)`.
use str
set edit:completion:arg-completer[spinreg] = {|@words|
    var before = $words[1..-1]
    var lines = []
    try {
        set lines = [(e:spinreg __complete --current=$words[-1] -- $@before 2>/dev/null)]
    } catch { }
    if (== 0 (count $lines)) {
        edit:complete-filename $@words
    }
    for line $lines {
        var parts = [(str:split &max=2 "\t" $line)]
        var word = $parts[0]
        var ends = ' '
        if (or (str:has-suffix $word '/') (str:has-suffix $word '=') (str:has-suffix $word ':')) {
            set ends = ''
        }
        edit:complex-candidate $word &code-suffix=$ends &display=(str:join '  ' $parts)
    }
}
