//! Completion scripts for shells, from the action tables alone.

use std::fmt::Write as _;

use phantom_module::{Lang, Param, ParameterKind, parameters};

use crate::Phantom;

/// A shell that completions can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

impl Shell {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// The shell of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shell| shell.name() == name)
    }
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// The options, as a shell offers them.
const OPTIONS: &str = "--help --version --compact --lang --root --json";

/// The completion script for a shell: modules, actions, names of parameters, fixed choices.
pub fn completions(phantom: &Phantom, shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(phantom),
        Shell::Zsh => zsh(phantom),
        Shell::Fish => fish(phantom),
    }
}

/// What can be typed for a parameter: `name=` or one word per choice.
fn words(param: &Param) -> Vec<String> {
    let name = &param.name;
    match &param.kind {
        ParameterKind::Boolean => vec![format!("{name}=true"), format!("{name}=false")],
        ParameterKind::Choice(choices) => choices.iter().map(|word| format!("{name}={word}")).collect(),
        _ => vec![format!("{name}=")],
    }
}

fn module_words(phantom: &Phantom) -> String {
    let names: Vec<&str> = phantom.modules().iter().map(|module| module.name()).collect();
    format!("{} help completions", names.join(" "))
}

fn bash(phantom: &Phantom) -> String {
    let mut cases = String::new();
    for module in phantom.modules() {
        let specs = module.specs();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
        let _ = writeln!(cases, "        {}) actions='{}' ;;", module.name(), names.join(" "));
    }
    let mut keys = String::new();
    for module in phantom.modules() {
        for spec in module.specs() {
            let list: Vec<String> = parameters(&spec).iter().flat_map(words).collect();
            if !list.is_empty() {
                let _ =
                    writeln!(keys, "        '{} {}') keys='{}' ;;", module.name(), spec.name, list.join(" "));
            }
        }
    }
    let modules = module_words(phantom);
    format!(
        r#"# Completion of phantom-api for bash.
_phantom_api() {{
    local cur module='' action='' word skip='' actions='' keys=''
    cur=${{COMP_WORDS[COMP_CWORD]}}
    # Where bash divides words at '=', the parts of this one are put together again.
    if [[ $cur == '=' ]]; then
        cur=${{COMP_WORDS[COMP_CWORD-1]}}=
    elif (( COMP_CWORD > 1 )) && [[ ${{COMP_WORDS[COMP_CWORD-1]}} == '=' ]]; then
        cur=${{COMP_WORDS[COMP_CWORD-2]}}=$cur
    fi
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        if [[ $word == '=' ]]; then skip=1; continue; fi
        if [[ -n $skip ]]; then skip=''; continue; fi
        case $word in
            --lang|--root|--json) skip=1 ;;
            -*) ;;
            *) if [[ -z $module ]]; then module=$word; elif [[ -z $action ]]; then action=$word; fi ;;
        esac
    done
    case $cur in
        --lang=*) COMPREPLY=($(compgen -W 'en tr' -P --lang= -- "${{cur#*=}}")); _phantom_api_value "$cur"; return ;;
        --root=*) COMPREPLY=($(compgen -d -P --root= -- "${{cur#*=}}")); _phantom_api_value "$cur"; return ;;
    esac
    case ${{COMP_WORDS[COMP_CWORD-1]}} in
        --lang) COMPREPLY=($(compgen -W 'en tr' -- "$cur")); return ;;
        --root) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '{OPTIONS}' -- "$cur")); return; fi
    if [[ -z $module ]]; then COMPREPLY=($(compgen -W '{modules}' -- "$cur")); return; fi
    if [[ $module == help ]]; then module=$action; action=''; [[ -n $module ]] || {{ COMPREPLY=($(compgen -W '{modules}' -- "$cur")); return; }}; fi
    case $module in
{cases}        completions) actions='bash zsh fish' ;;
    esac
    if [[ -z $action ]]; then COMPREPLY=($(compgen -W "$actions" -- "$cur")); return; fi
    case "$module $action" in
{keys}    esac
    COMPREPLY=($(compgen -W "$keys" -- "$cur"))
    [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
    _phantom_api_value "$cur"
}}
# Where bash divides words at '=', it replaces what stands behind it, and nothing else.
_phantom_api_value() {{
    if [[ $1 == *=* && $COMP_WORDBREAKS == *=* ]]; then COMPREPLY=("${{COMPREPLY[@]#"${{1%%=*}}"=}}"); fi
}}
complete -F _phantom_api phantom-api
"#
    )
}

fn zsh(phantom: &Phantom) -> String {
    let quoted = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:");
    let mut modules = String::new();
    let mut cases = String::new();
    for module in phantom.modules() {
        let _ = writeln!(modules, "        '{}:{}'", module.name(), quoted(module.summary().get(Lang::En)));
        let _ = writeln!(cases, "        {})\n            list=(", module.name());
        for spec in module.specs() {
            let _ = writeln!(cases, "                '{}:{}'", spec.name, quoted(spec.summary.get(Lang::En)));
        }
        cases.push_str("            ) ;;\n");
    }
    let mut keys = String::new();
    for module in phantom.modules() {
        for spec in module.specs() {
            let list: Vec<String> = parameters(&spec).iter().flat_map(words).collect();
            if !list.is_empty() {
                let _ =
                    writeln!(keys, "        '{} {}') list=({}) ;;", module.name(), spec.name, list.join(" "));
            }
        }
    }
    format!(
        r#"#compdef phantom-api
# Completion of phantom-api for zsh.
_phantom_api() {{
    local -a list plain
    local word skip=''
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        if [[ -n $skip ]]; then skip=''; continue; fi
        case $word in
            --lang|--root|--json) skip=1 ;;
            -*) ;;
            *) plain+=("$word") ;;
        esac
    done
    case ${{words[CURRENT-1]}} in
        --lang) compadd en tr; return ;;
        --root) _files -/; return ;;
    esac
    if [[ ${{words[CURRENT]}} == -* ]]; then compadd -- {OPTIONS}; return; fi
    if [[ ${{plain[1]-}} == help ]]; then shift plain; fi
    if (( ${{#plain}} == 0 )); then
        list=(
{modules}        'help:help'
        'completions:completion scripts'
        )
        _describe module list; return
    fi
    if (( ${{#plain}} == 1 )); then
        case $plain[1] in
{cases}        completions) list=(bash zsh fish) ;;
        esac
        _describe action list; return
    fi
    case "$plain[1] $plain[2]" in
{keys}    esac
    compadd -S '' -- $list
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _phantom_api "$@"; else compdef _phantom_api phantom-api; fi
"#
    )
}

fn fish(phantom: &Phantom) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::from(
        "# Completion of phantom-api for fish.\ncomplete -c phantom-api -f\n\
         complete -c phantom-api -s h -l help -d 'help'\ncomplete -c phantom-api -l version -d 'version'\n\
         complete -c phantom-api -l compact -d 'JSON on one line'\ncomplete -c phantom-api -l lang -x -a 'en tr' -d 'language'\n\
         complete -c phantom-api -l root -r -d 'install directory'\ncomplete -c phantom-api -l json -x -d 'parameters as JSON'\n",
    );
    let names: Vec<&str> = phantom.modules().iter().map(|module| module.name()).collect();
    let all = names.join(" ");
    for module in phantom.modules() {
        let name = module.name();
        let specs = module.specs();
        let actions: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
        let actions = actions.join(" ");
        let summary = quoted(module.summary().get(Lang::En));
        let _ = writeln!(
            text,
            "complete -c phantom-api -n 'not __fish_seen_subcommand_from {all} completions' -a {name} -d '{summary}'"
        );
        for spec in &specs {
            let only =
                format!("__fish_seen_subcommand_from {name}; and not __fish_seen_subcommand_from {actions}");
            let summary = quoted(spec.summary.get(Lang::En));
            let _ = writeln!(text, "complete -c phantom-api -n '{only}' -a {} -d '{summary}'", spec.name);
            let seen =
                format!("__fish_seen_subcommand_from {name}; and __fish_seen_subcommand_from {}", spec.name);
            for param in parameters(spec) {
                let help = quoted(&param.en);
                for word in words(&param) {
                    let _ = writeln!(text, "complete -c phantom-api -n '{seen}' -a '{word}' -d '{help}'");
                }
            }
        }
    }
    let _ = writeln!(
        text,
        "complete -c phantom-api -n 'not __fish_seen_subcommand_from {all} completions' -a 'help completions'"
    );
    text.push_str(
        "complete -c phantom-api -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'\n",
    );
    text
}
