//! `remove_vpn_config`: deletes an imported exit (API 8.5).

use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::ExitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::{remove_exit_file, sweep_exit_files};
use crate::{Multihop, MultihopError, origin, switch};

/// Deletes an imported exit. One that client traffic goes through is switched off first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveVpnConfig {
    /// Name of the VPN exit
    #[schemars(extend("x-tr" = "VPN çıkış noktasının adı"))]
    pub exit_name: ExitName,
}

/// The exit was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Removed {
    /// Name of the exit
    #[schemars(extend("x-tr" = "Çıkış noktasının adı"))]
    pub removed: ExitName,
    /// Client traffic went through it
    #[schemars(extend("x-tr" = "İstemci trafiği buradan geçiyordu"))]
    pub was_active: bool,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

impl Action for RemoveVpnConfig {
    type Module = Multihop;
    type Output = Removed;
    type Error = MultihopError;
    const NAME: &'static str = "remove_vpn_config";
    const SUMMARY: Text = Text { en: "Remove a VPN configuration", tr: "VPN yapılandırmasını kaldır" };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "exit_name=xeovo-uk";
    const ERRORS: &'static [&'static str] = &["EXIT_NODE_ERROR", "MULTIHOP_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<Removed, MultihopError> {
        let name = self.exit_name;
        let removed = multihop.engine().change(origin(Self::NAME), call, |change| {
            if change.exit(&name)?.is_none() {
                return Err(MultihopError::NoExit { exit: name.clone(), available: change.exit_names()? });
            }
            let stored = change.multihop()?;
            let active = stored.filter(|stored| stored.exit == name || stored.exit_in_use == name);
            let was_active = active.is_some();
            if let Some(active) = active {
                let off = switch::turn_off(change, call, &active);
                off.map_err(|error| error.with_restored(Some(active.exit_in_use), call.lang))?;
            }
            remove_exit_file(change, &name)?;
            change.remove_exit(&name)?;
            sweep_exit_files(change)?;
            Ok(Removed { message: message(&name, call.lang), removed: name, was_active })
        });
        removed.map_err(|error: MultihopError| error.settled(call.lang))
    }
}

fn message(exit: &ExitName, lang: Lang) -> String {
    match lang {
        Lang::En => format!("VPN configuration '{exit}' removed"),
        Lang::Tr => format!("'{exit}' VPN yapılandırması kaldırıldı"),
    }
}
