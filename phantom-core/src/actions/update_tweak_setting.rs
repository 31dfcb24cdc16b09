//! `update_tweak_setting`: changes one behaviour setting.

use phantom_engine::{Change, Scope, Tweak};
use phantom_module::{Action, Call, Effect, Lang, Param, ParameterKind, Params, RawValue, Text, read};
use phantom_store::{Language, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tweak_settings::Setting;
use crate::{Core, CoreError, origin};

/// Changes one behaviour setting.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTweakSetting {
    /// Name of the setting
    #[schemars(extend("x-tr" = "Ayarın adı"))]
    pub setting_name: String,
    /// New value
    #[schemars(extend("x-tr" = "Yeni değer", "format" = "any"))]
    pub value: Value,
}

/// The setting has its new value.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TweakUpdated {
    /// Name of the setting
    #[schemars(extend("x-tr" = "Ayarın adı"))]
    pub setting: &'static str,
    /// Its value now
    #[schemars(extend("x-tr" = "Şimdiki değeri"))]
    pub new_value: Value,
    /// Its value before
    #[schemars(extend("x-tr" = "Önceki değeri"))]
    pub old_value: Value,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
    /// What the setting does
    #[schemars(extend("x-tr" = "Ayarın ne yaptığı"))]
    pub description: &'static str,
}

impl Action for UpdateTweakSetting {
    type Module = Core;
    type Output = TweakUpdated;
    type Error = CoreError;
    const NAME: &'static str = "update_tweak_setting";
    const SUMMARY: Text = Text { en: "Change a setting", tr: "Ayar değiştir" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "setting_name=restart_service_after_client_creation value=false";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR", "SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<TweakUpdated, CoreError> {
        core.engine().change(origin(Self::NAME), call, |change| {
            let tweaks = || core.engine().tweaks();
            if let Some(tweak) = tweaks().find(|tweak| tweak.name == self.setting_name) {
                return set_tweak(change, tweak, self.value, call.lang);
            }
            let known = Setting::ALL.into_iter().find(|setting| setting.name() == self.setting_name);
            let valid =
                || Setting::ALL.map(Setting::name).into_iter().chain(tweaks().map(|tweak| tweak.name));
            let setting = known.ok_or_else(|| CoreError::UnknownSetting {
                setting: self.setting_name.clone(),
                valid: valid().collect(),
            })?;
            let new_value = typed(setting, self.value)?;
            let mut settings = change.settings()?;
            let old_value = exchange(&mut settings, setting, &new_value);
            change.set_settings(&settings)?;
            Ok(TweakUpdated {
                setting: setting.name(),
                message: updated(setting.name(), &old_value, &new_value, call.lang),
                new_value,
                old_value,
                description: setting.description(call.lang),
            })
        })
    }
}

/// Sets what a module brings. The host follows.
fn set_tweak(
    change: &mut Change<'_>,
    tweak: &'static Tweak,
    value: Value,
    lang: Lang,
) -> Result<TweakUpdated, CoreError> {
    let new_value = read_as(ParameterKind::Boolean, value)?;
    let old = tweak.value(change)?;
    let new = new_value.as_bool().unwrap_or(old);
    if new != old {
        tweak.set(change, new)?;
        change.apply(Scope::WithoutPeers)?;
    }
    let old_value = Value::Bool(old);
    Ok(TweakUpdated {
        setting: tweak.name,
        message: updated(tweak.name, &old_value, &new_value, lang),
        new_value,
        old_value,
        description: lang.pick(tweak.description.en, tweak.description.tr),
    })
}

/// The value by the setting's own type.
fn typed(setting: Setting, value: Value) -> Result<Value, CoreError> {
    let kind = match setting {
        Setting::Restart | Setting::BlockIpv6Leak => ParameterKind::Boolean,
        Setting::Language => ParameterKind::Choice(vec!["en".to_owned(), "tr".to_owned()]),
    };
    read_as(kind, value)
}

fn read_as(kind: ParameterKind, value: Value) -> Result<Value, CoreError> {
    let name = "value".to_owned();
    let declared = Param { name, kind, required: true, default: None, en: String::new(), tr: String::new() };
    let mut given = Params::new();
    given.push("value", RawValue::Json(value));
    Ok(read(&[declared], given)?.remove("value").unwrap_or_default())
}

/// Puts the new value in and gives back the old one. A language that was never set counts as English.
fn exchange(settings: &mut Settings, setting: Setting, new: &Value) -> Value {
    let flag = new.as_bool().unwrap_or_default();
    match setting {
        Setting::Restart => {
            std::mem::replace(&mut settings.restart_service_after_client_creation, flag).into()
        }
        Setting::BlockIpv6Leak => std::mem::replace(&mut settings.block_ipv6_leak, flag).into(),
        Setting::Language => {
            let old = std::mem::replace(&mut settings.language, new.as_str().and_then(Language::from_code));
            old.unwrap_or(Language::En).as_str().into()
        }
    }
}

fn updated(setting: &str, old: &Value, new: &Value, lang: Lang) -> String {
    let word = |value: &Value| match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let (old, new) = (word(old), word(new));
    match lang {
        Lang::En => format!("Setting '{setting}' updated from {old} to {new}"),
        Lang::Tr => format!("'{setting}' ayarı güncellendi: {old} → {new}"),
    }
}
