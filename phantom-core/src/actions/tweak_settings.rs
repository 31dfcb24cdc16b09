//! `get_tweak_settings`: the stored behaviour settings.

use phantom_engine::Tweak;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::Language;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// Shows the stored behaviour settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TweakSettings {}

/// Each setting with its value and its description.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TweakReport {
    /// The whole service restarts when a client comes or goes
    #[schemars(extend("x-tr" = "İstemci eklenince veya kaldırılınca tüm servis yeniden başlar"))]
    pub restart_service_after_client_creation: bool,
    /// What the setting does
    #[schemars(extend("x-tr" = "Ayarın ne yaptığı"))]
    pub restart_service_after_client_creation_description: &'static str,
    /// Exported configurations end their `AllowedIPs` in `::/0`
    #[schemars(extend("x-tr" = "Dışa aktarılan yapılandırmalarda `AllowedIPs` `::/0` ile biter"))]
    pub block_ipv6_leak: bool,
    /// What the setting does
    #[schemars(extend("x-tr" = "Ayarın ne yaptığı"))]
    pub block_ipv6_leak_description: &'static str,
    /// Stored language; only once it has been set
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Kayıtlı dil; yalnızca ayarlanmışsa"))]
    pub language: Option<&'static str>,
    /// What the setting does
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Ayarın ne yaptığı"))]
    pub language_description: Option<&'static str>,
    /// The operator's secret opens tunnels in Ghost Mode, beside the clients' own
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-tr" = "Ghost Mode'da istemcilerin kendi gizli anahtarlarının yanında yöneticininki de tünel açar"
    ))]
    pub ghost_operator_secret: Option<bool>,
    /// What the setting does
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Ayarın ne yaptığı"))]
    pub ghost_operator_secret_description: Option<&'static str>,
}

/// A behaviour setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Restart,
    BlockIpv6Leak,
    Language,
}

impl Setting {
    pub(super) const ALL: [Self; 3] = [Self::Restart, Self::BlockIpv6Leak, Self::Language];

    /// Its name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart_service_after_client_creation",
            Self::BlockIpv6Leak => "block_ipv6_leak",
            Self::Language => "language",
        }
    }

    /// What it does.
    pub(super) const fn description(self, lang: Lang) -> &'static str {
        match self {
            Self::Restart => lang.pick(
                "Restart WireGuard service after adding & removing clients (causes connection drops)",
                "İstemci ekleme ve kaldırma sonrasında WireGuard servisini yeniden başlat (bağlantı kesilmesine neden olur)",
            ),
            Self::BlockIpv6Leak => lang.pick(
                "Send the clients' IPv6 into the tunnel so that it cannot bypass it (::/0 in exported configurations)",
                "İstemcilerin IPv6 trafiğini tünele yönlendir, böylece tünelin dışına sızamaz (dışa aktarılan yapılandırmalarda ::/0)",
            ),
            Self::Language => lang.pick("Language of messages (en or tr)", "Mesajların dili (en veya tr)"),
        }
    }
}

impl Action for TweakSettings {
    type Module = Core;
    type Output = TweakReport;
    type Error = CoreError;
    const NAME: &'static str = "get_tweak_settings";
    const SUMMARY: Text = Text { en: "Show settings", tr: "Ayarları göster" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, call: &Call) -> Result<TweakReport, CoreError> {
        // What a module brings has its fields above; without the module they are left out.
        let brought = core.engine().tweaks().find(|tweak| tweak.name == "ghost_operator_secret");
        let (settings, value) = core.engine().read(|state| {
            let value = brought.map(|tweak| tweak.value(state)).transpose()?;
            Ok::<_, CoreError>((state.settings()?, value))
        })?;
        let describe = |tweak: &Tweak| call.lang.pick(tweak.description.en, tweak.description.tr);
        Ok(TweakReport {
            restart_service_after_client_creation: settings.restart_service_after_client_creation,
            restart_service_after_client_creation_description: Setting::Restart.description(call.lang),
            block_ipv6_leak: settings.block_ipv6_leak,
            block_ipv6_leak_description: Setting::BlockIpv6Leak.description(call.lang),
            language_description: settings.language.map(|_| Setting::Language.description(call.lang)),
            language: settings.language.map(Language::as_str),
            ghost_operator_secret: value,
            ghost_operator_secret_description: brought.map(describe),
        })
    }
}
