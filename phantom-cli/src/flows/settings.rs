//! Settings, and the language.

use phantom_api::{Lang, Text};
use phantom_module::ParameterKind;
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{answer, call, confirm, say};
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Field, Form, Item, Menu};
use crate::work::ActionCall;

pub(super) const TITLE: Text = Text { en: "Tweak Settings", tr: "Tweak Ayarları" };
pub(super) const LANGUAGE: Text = Text { en: "Language", tr: "Dil" };

/// The settings with their values; picking one changes it.
pub(super) fn list(world: &AppContext) -> Vec<ScreenAction> {
    vec![call(world, ActionCall::new("core", "get_tweak_settings"), |value, world| {
        let settings = value.as_object().into_iter().flatten();
        let items = settings.filter(|(name, _)| !name.ends_with("_description")).map(|(name, now)| {
            let about = value[format!("{name}_description")].as_str().unwrap_or_default();
            let (setting, old, text) = (name.clone(), now.clone(), about.to_owned());
            let label = format!("{name}: {}", answer::plain(now, world.lang));
            Item::named(&label, move |world| pick(world, &setting, &old, &text)).saying(about)
        });
        vec![ScreenAction::Push(Box::new(Menu::new(TITLE, items.collect())))]
    })]
}

fn pick(world: &AppContext, setting: &str, old: &Value, about: &str) -> Vec<ScreenAction> {
    let setting = setting.to_owned();
    if setting == "language" {
        return language(world);
    }
    let Some(on) = old.as_bool() else {
        const NEW: Text = Text { en: "New value", tr: "Yeni değer" };
        let field = Field::text("value", NEW, ParameterKind::Text, &answer::plain(old, world.lang));
        let form = Form::new(TITLE, vec![field], move |values, world| {
            let value = values.into_iter().next().map(|(_, value)| value).unwrap_or_default();
            let mut acts = change(world, &setting, &value);
            acts.insert(0, ScreenAction::Pop);
            acts
        });
        return vec![ScreenAction::Push(Box::new(form))];
    };
    let plain = |value: bool| answer::plain(&Value::Bool(value), world.lang);
    let lines = vec![about.to_owned(), format!("{} → {}", plain(on), plain(!on))];
    let title = setting.clone();
    // Only this one is in the clients' configurations.
    let is_exported = setting == "block_ipv6_leak";
    let go = move |world: &AppContext| change(world, &setting, &(!on).to_string());
    if is_exported {
        return impact::ask(title, lines, (Cut::Nobody, HandOut::Configurations), go);
    }
    confirm(title, lines, go)
}

/// Stores it and lists the settings again.
fn change(world: &AppContext, setting: &str, value: &str) -> Vec<ScreenAction> {
    let work =
        ActionCall::new("core", "update_tweak_setting").with("setting_name", setting).with("value", value);
    vec![call(world, work, |value, world| {
        let mut acts = vec![ScreenAction::Pop];
        acts.extend(list(world));
        acts.push(say(&value));
        acts
    })]
}

/// The language of every message, here and of the commands.
pub(super) fn language(_: &AppContext) -> Vec<ScreenAction> {
    let item = |lang: Lang, name: &str| {
        Item::named(name, move |world| {
            let home = if world.needs_setup { ScreenAction::Home } else { keep(world, lang) };
            vec![ScreenAction::Speak(lang), home]
        })
    };
    let items = vec![item(Lang::En, "English"), item(Lang::Tr, "Türkçe")];
    vec![ScreenAction::Push(Box::new(Menu::new(LANGUAGE, items)))]
}

/// Stores the language that was chosen before there was anywhere to store it.
pub(super) fn keep_language(world: &AppContext) -> ScreenAction {
    call(world, language_call(world.lang), |_, _| Vec::new())
}

fn keep(world: &AppContext, lang: Lang) -> ScreenAction {
    call(world, language_call(lang), |value, _| vec![ScreenAction::Home, say(&value)])
}

fn language_call(lang: Lang) -> ActionCall {
    let work = ActionCall::new("core", "update_tweak_setting").with("setting_name", "language");
    work.with("value", lang.tag())
}
