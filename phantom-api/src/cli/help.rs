//! Help on three levels, from the action tables alone.

use std::fmt::Write as _;

use phantom_module::{Effect, Lang, Module, Param, Spec, parameters};

use super::texts::{
    CHANGE_ERROR, COMMON_ERRORS, NOT_INITIALIZED, OPTIONS, STATUSES, VARIABLES, headings, limits,
};
use crate::{API_VERSION, Phantom};

/// What to type, for somebody who typed something else.
pub fn usage(lang: Lang) -> String {
    let h = headings(lang);
    let action = lang.pick(
        "phantom-api [OPTION...] <module> <action> [key=value]...",
        "phantom-api [SEÇENEK...] <modül> <eylem> [anahtar=değer]...",
    );
    let help = lang.pick("phantom-api help [<module> [<action>]]", "phantom-api help [<modül> [<eylem>]]");
    let hint = lang.pick("For help: phantom-api --help", "Yardım için: phantom-api --help");
    format!("{}:\n  {action}\n  {help}\n  phantom-api completions bash|zsh|fish\n\n{hint}\n", h.usage)
}

/// Help of the program.
pub fn program_help(phantom: &Phantom, lang: Lang) -> String {
    let h = headings(lang);
    let mut text = format!("phantom-api {} ({API_VERSION})\n\n", env!("CARGO_PKG_VERSION"));
    text.push_str(usage(lang).split("\n\n").next().unwrap_or_default());
    let hooks: String = phantom.engine().hook_verbs().flat_map(|verb| ["|", verb]).collect();
    let (name, whose) = lang.pick(("NAME", "for the system's services"), ("AD", "sistemin servisleri için"));
    let _ = writeln!(text, "\n  phantom-api service up|down|block|repair{hooks} [{name}]  ({whose})");
    section(&mut text, h.modules);
    for module in phantom.modules() {
        row(&mut text, module.name(), module.summary().get(lang));
    }
    section(&mut text, h.options);
    for (option, en, tr) in OPTIONS {
        row(&mut text, &option_name(option, lang), lang.pick(en, tr));
    }
    section(&mut text, h.environment);
    for (name, en, tr) in VARIABLES {
        row(&mut text, name, lang.pick(en, tr));
    }
    section(&mut text, h.parameters);
    text.push_str(lang.pick(
        "  key=value, split at the first '='; the value is taken as it is. Lists are separated by commas or\n  given as a JSON array.\n",
        "  anahtar=değer, ilk '=' işaretinden bölünür; değer olduğu gibi alınır. Listeler virgülle ayrılır veya\n  JSON dizisi olarak verilir.\n",
    ));
    section(&mut text, h.examples);
    for (module, spec) in examples(phantom) {
        let _ = writeln!(text, "  phantom-api {module} {} {}", spec.name, spec.example);
    }
    section(&mut text, h.answer);
    text.push_str("  {\"success\": true, \"data\": {…}, \"metadata\": {…}}\n");
    text.push_str(
        "  {\"success\": false, \"data\": {…}, \"error\": \"…\", \"code\": \"…\", \"metadata\": {…}}\n",
    );
    section(&mut text, h.status);
    for (status, en, tr) in STATUSES {
        row(&mut text, status, lang.pick(en, tr));
    }
    text
}

/// An option with the word for its value in this language.
fn option_name(option: &str, lang: Lang) -> String {
    match lang {
        Lang::En => option.to_owned(),
        Lang::Tr => option.replace("DIR", "DİZİN").replace("OBJECT", "NESNE"),
    }
}

/// The first action with an example of each module.
fn examples(phantom: &Phantom) -> Vec<(&'static str, Spec)> {
    let first = |module: &std::sync::Arc<dyn Module>| {
        let spec = module.specs().into_iter().find(|spec| !spec.example.is_empty())?;
        Some((module.name(), spec))
    };
    phantom.modules().iter().filter_map(first).collect()
}

/// Help of a module.
pub fn module_help(module: &dyn Module, lang: Lang) -> String {
    let h = headings(lang);
    let mut text = format!("phantom-api {} — {}\n", module.name(), module.summary().get(lang));
    section(&mut text, h.actions);
    for spec in module.specs() {
        row(&mut text, spec.name, spec.summary.get(lang));
    }
    let hint = lang.pick("<action>", "<eylem>");
    let _ = writeln!(text, "\nphantom-api {} {hint} --help", module.name());
    text
}

/// Help of an action.
pub fn action_help(module: &str, spec: &Spec, lang: Lang) -> String {
    let h = headings(lang);
    let mut text = format!("phantom-api {module} {} — {}", spec.name, spec.summary.get(lang));
    if spec.effect != Effect::Read {
        let _ = write!(text, " ({})", h.changes);
    }
    text.push('\n');
    section(&mut text, h.parameters);
    let declared = parameters(spec);
    if declared.is_empty() {
        let _ = writeln!(text, "  {}", h.none);
    }
    for param in &declared {
        let _ = writeln!(text, "  {:<16} {}", param.name, param.help(lang));
        let _ = writeln!(text, "  {:<16} {}", "", facts(param, lang));
    }
    section(&mut text, h.examples);
    let _ = writeln!(text, "  {}", example(module, spec));
    section(&mut text, h.errors);
    let _ = writeln!(text, "  {}", errors(spec).join(", "));
    text
}

/// Type, limits, and whether it must be given.
pub(crate) fn facts(param: &Param, lang: Lang) -> String {
    let h = headings(lang);
    let mut facts = vec![param.kind.expected().to_owned()];
    let limits = limits(&param.kind, lang);
    if !limits.is_empty() {
        facts.push(limits);
    }
    if param.required {
        facts.push(h.required.to_owned());
    } else if let Some(default) = &param.default {
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        if !matches!(default.as_str(), "" | "[]") {
            facts.push(format!("{}: {default}", h.default));
        }
    }
    facts.join("; ")
}

/// The example call of an action.
pub(crate) fn example(module: &str, spec: &Spec) -> String {
    format!("phantom-api {module} {} {}", spec.name, spec.example).trim_end().to_owned()
}

/// All codes of an action: its own first.
pub(crate) fn errors(spec: &Spec) -> Vec<&'static str> {
    let change = (spec.effect != Effect::Read).then_some(CHANGE_ERROR);
    let applies =
        |code: &&'static str| !spec.errors.contains(code) && (spec.needs_setup || *code != NOT_INITIALIZED);
    let common = COMMON_ERRORS.into_iter().chain(change).filter(applies);
    spec.errors.iter().copied().chain(common).collect()
}

fn section(text: &mut String, heading: &str) {
    let _ = write!(text, "\n{heading}:\n");
}

fn row(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "  {name:<24} {what}");
}
