//! What leads from screen to screen: menus, and what happens behind their items.

mod answer;
mod clients;
mod copies;
mod core;
mod dns;
mod doctor;
mod ghost;
mod impact;
mod multihop;
mod server;
mod settings;
mod subnet;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use phantom_api::{Spec, Text};
use phantom_module::{Effect, ParameterKind, parameters};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::rows::Row;
use crate::screen::{AppContext, Screen, ScreenAction};
use crate::screens::{Dialog, Field, Form, Item, Menu, Report, Values};
use crate::text;
use crate::theme::Tone;
use crate::work::{ActionCall, Problem, Work, WorkResult};

pub(crate) use self::clients::{add_client, for_client};
pub(crate) use self::core::{first_setup, setup_menu};

/// The first screen. The modules of the system stand where the product has them, any other behind them.
pub(crate) fn main_menu(world: &AppContext) -> Box<dyn Screen> {
    const OWN: [&str; 4] = ["core", "dns", "multihop", "ghost"];
    let own = [
        (Text { en: "Core Management", tr: "Core Yönetimi" }, core::menu as fn(&AppContext) -> Menu),
        (Text { en: "DNS Management", tr: "DNS Yönetimi" }, dns::menu),
        (multihop::TITLE, multihop::menu),
        (ghost::TITLE, ghost::menu),
    ];
    let mut items = Vec::new();
    for (name, (title, menu)) in OWN.into_iter().zip(own) {
        if let Some(table) = world.table(name) {
            items.push(
                Item::new(title, move |world| vec![ScreenAction::Push(Box::new(menu(world)))])
                    .about(table.summary),
            );
        }
    }
    for table in world.modules.iter().filter(|table| !OWN.contains(&table.name)) {
        let (name, title) = (table.name, table.summary);
        items.push(Item::new(title, move |world| {
            let items = more_items(world, name, &[]);
            vec![ScreenAction::Push(Box::new(Menu::new(title, items)))]
        }));
    }
    items.push(Item::new(settings::LANGUAGE, settings::language));
    Box::new(Menu::first(Text { en: "Main", tr: "Ana Menü" }, items))
}

/// An item for an action that the module has.
fn item(
    world: &AppContext,
    (module, action): (&str, &str),
    name: Text,
    act: impl Fn(&AppContext) -> Vec<ScreenAction> + 'static,
) -> Option<Item> {
    world.spec(module, action).map(|_| Item::new(name, act))
}

/// Items for the actions of a module that no screen of its own shows.
fn more_items(world: &AppContext, module: &'static str, shown: &[&str]) -> Vec<Item> {
    let table = world.table(module).map_or(&[][..], |table| &table.actions);
    let others = table.iter().filter(|spec| !shown.contains(&spec.name));
    others
        .map(|spec| {
            let spec = *spec;
            Item::new(spec.summary, move |world| launch(world, module, spec))
        })
        .collect()
}

/// Runs an action; an error is shown, an answer gone on with.
pub(crate) fn call(
    world: &AppContext,
    call: ActionCall,
    then: impl FnOnce(Value, &AppContext) -> Vec<ScreenAction> + 'static,
) -> ScreenAction {
    let what = world.summary(call.module, call.action);
    run(what, Work::Call(call), move |reply, world| match reply {
        WorkResult::Value(value) => then(value, world),
        _ => Vec::new(),
    })
}

/// Does work; an error is shown, a reply gone on with.
fn run(
    what: String,
    work: Work,
    then: impl FnOnce(WorkResult, &AppContext) -> Vec<ScreenAction> + 'static,
) -> ScreenAction {
    ScreenAction::Run(
        work,
        what,
        Box::new(move |reply, world| match reply {
            Ok(reply) => then(reply, world),
            Err(problem) => vec![failed(world, &problem)],
        }),
    )
}

/// Says an error with its code above the key bar: for what is asked for again by itself.
pub(crate) fn said(problem: &Problem) -> ScreenAction {
    ScreenAction::Say(Tone::Bad, format!("{} [{}]", problem.message, problem.code))
}

/// Shows an error with its code and, where it carries lists of sentences, these.
pub(crate) fn failed(world: &AppContext, problem: &Problem) -> ScreenAction {
    let mut rows = vec![Row::text(problem.message.clone()), Row::Blank];
    let facts = problem.data.as_ref().and_then(Value::as_object);
    for list in facts.into_iter().flat_map(|facts| facts.values()).filter_map(Value::as_array) {
        let sentences = list.iter().filter_map(Value::as_str).filter(|text| !problem.message.contains(text));
        rows.extend(sentences.map(|text| Row::text(format!("- {text}"))));
    }
    for (name, value) in facts.into_iter().flatten().filter(|(name, _)| *name == "hint" || *name == "detail")
    {
        if let Some(text) = value.as_str().filter(|text| !problem.message.contains(*text)) {
            let hint = name == "hint";
            let label = if hint { ("What to do", "Ne yapmalı") } else { ("Detail", "Ayrıntı") };
            rows.push(Row::pair(world.lang.pick(label.0, label.1), text));
        }
    }
    if rows.last() != Some(&Row::Blank) {
        rows.push(Row::Blank);
    }
    rows.push(Row::text(format!("[{}]", problem.code)));
    ScreenAction::Push(Box::new(Dialog::bad(world.lang.pick("Error", "Hata"), rows)))
}

/// Asks first.
fn confirm(
    title: impl Into<String>,
    lines: Vec<String>,
    yes: impl FnOnce(&AppContext) -> Vec<ScreenAction> + 'static,
) -> Vec<ScreenAction> {
    vec![ScreenAction::Push(Box::new(Dialog::confirm(&title.into(), lines, yes)))]
}

/// Starts an action of which nothing is known but its table: a form for its parameters, a question where it destroys,
/// its answer.
fn launch(world: &AppContext, module: &'static str, spec: Spec) -> Vec<ScreenAction> {
    if parameters(&spec).is_empty() {
        return sure(world, module, spec, Vec::new(), 0);
    }
    let form =
        Form::of_action(spec.summary, &spec, move |values, world| sure(world, module, spec, values, 1));
    vec![ScreenAction::Push(Box::new(form))]
}

/// `above`: how many screens go when the answer comes.
fn sure(
    world: &AppContext,
    module: &'static str,
    spec: Spec,
    values: Values,
    above: usize,
) -> Vec<ScreenAction> {
    let work = ActionCall { module, action: spec.name, params: values };
    let go = move |world: &AppContext| {
        vec![call(world, work.clone(), move |value, world| {
            let rows = answer::rows(&value, &spec, world.lang);
            let mut acts: Vec<ScreenAction> = (0..above).map(|_| ScreenAction::Pop).collect();
            acts.push(ScreenAction::Push(Box::new(Report::new(spec.summary, rows))));
            acts
        })]
    };
    match spec.effect {
        Effect::Read => go(world),
        Effect::Change if above > 0 => go(world), // the form was the question
        Effect::Change => confirm(spec.summary.get(world.lang), Vec::new(), go),
        Effect::Destroy => {
            confirm(spec.summary.get(world.lang), vec![text::FINAL.get(world.lang).to_owned()], go)
        }
    }
}

/// What an answer says in its own words.
fn say(value: &Value) -> ScreenAction {
    told(value, value)
}

/// The message of a part of an answer, above the key bar; where the answer warns, in a box with the warnings.
fn told(part: &Value, answer: &Value) -> ScreenAction {
    let message = part["message"].as_str().unwrap_or_default();
    let warnings: Vec<Row> = warnings(answer).collect();
    if warnings.is_empty() {
        return ScreenAction::Say(Tone::Good, message.to_owned());
    }
    ScreenAction::Push(Box::new(Dialog::advice(message, warnings)))
}

/// What an answer warns of.
fn warnings(value: &Value) -> impl Iterator<Item = Row> + use<'_> {
    let texts = value["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| Row::Text(Tone::Attention, text.to_owned()))
}

/// Asks for a path, with a proposal; a relative one is below the folder.
pub(crate) fn ask_path(
    title: Text,
    label: Text,
    (dir, start): (&Path, &str),
    then: impl Fn(&Path, &AppContext) -> Vec<ScreenAction> + 'static,
) -> ScreenAction {
    let field = Field::text("path", label, ParameterKind::Path, start);
    let dir = dir.to_owned();
    ScreenAction::Push(Box::new(Form::new(title, vec![field], move |values, world| {
        let path = dir.join(values.first().map_or("", |(_, path)| path.as_str()));
        let mut acts = vec![ScreenAction::Pop];
        acts.extend(then(&path, world));
        acts
    })))
}

/// Saves text of a screen.
pub(crate) fn save_text(world: &AppContext, text: Zeroizing<String>) -> Vec<ScreenAction> {
    const ABOUT: Text = Text {
        en: "The file may hold keys. Only its owner can read it (mode 0600).",
        tr: "Dosya anahtar içerebilir. Yalnızca sahibi okuyabilir (0600).",
    };
    save(ABOUT, world, "phantom-wg.txt", Rc::new(text))
}

/// Saves a client's configuration.
fn save_config(world: &AppContext, name: &str, config: Rc<Zeroizing<String>>) -> Vec<ScreenAction> {
    const ABOUT: Text = Text {
        en: "The file holds the client's private key. Only its owner can read it (mode 0600).",
        tr: "Dosya istemcinin özel anahtarını içerir. Yalnızca sahibi okuyabilir (0600).",
    };
    save(ABOUT, world, name, config)
}

/// Asks where to and saves; asks again before a file is written over.
fn save(about: Text, world: &AppContext, name: &str, content: Rc<Zeroizing<String>>) -> Vec<ScreenAction> {
    let path = world.home.join(name).display().to_string();
    let field = Field::text("path", text::SAVE, ParameterKind::Path, &path);
    let home = world.home.clone();
    let form = Form::new(text::SAVE, vec![field], move |values, world| {
        let path = home.join(values.first().map_or("", |(_, path)| path.as_str()));
        vec![write(world, path, Rc::clone(&content), false)]
    });
    vec![ScreenAction::Push(Box::new(form.intro(vec![Row::text(about.get(world.lang))])))]
}

fn write(world: &AppContext, path: PathBuf, content: Rc<Zeroizing<String>>, overwrite: bool) -> ScreenAction {
    let work = Work::Save { path, content: (*content).clone(), overwrite };
    run(text::SAVE.get(world.lang).to_owned(), work, move |reply, world| match reply {
        WorkResult::Saved(path) => {
            let saved = world.lang.pick("Saved", "Kaydedildi");
            vec![
                ScreenAction::Pop,
                ScreenAction::Say(Tone::Good, format!("{saved}: {} (0600)", path.display())),
            ]
        }
        WorkResult::Exists(path) => {
            let lang = world.lang;
            let exists = lang.pick("This file exists. Write over it?", "Bu dosya var. Üzerine yazılsın mı?");
            confirm(exists, vec![path.display().to_string()], move |world| {
                vec![write(world, path, content, true)]
            })
        }
        _ => Vec::new(),
    })
}
