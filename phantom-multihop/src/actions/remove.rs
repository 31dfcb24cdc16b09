//! `remove_vpn_config`: deletes an imported exit.

use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::ExitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Multihop as Stored;
use crate::rows::{MultihopChange as _, MultihopState as _};
use crate::state::{remove_exit_file, sweep_exit_files};
use crate::{Multihop, MultihopError, origin, switch};

/// Deletes an imported exit. One that client traffic goes through is switched off first; the chosen one whose place another has
/// taken leaves the place to that one.
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
            let was_active = stored.as_ref().is_some_and(|stored| stored.active_exit == name);
            let mut heir = None;
            match stored {
                Some(active) if was_active => {
                    let off = switch::disable(change, call, &active);
                    off.map_err(|error| error.with_restored(Some(active.active_exit)))?;
                }
                Some(replaced) if replaced.chosen_exit == name => {
                    heir = Some(replaced.active_exit.clone());
                    change.set_multihop(Some(&without_chosen(replaced)))?;
                }
                Some(_) | None => {}
            }
            remove_exit_file(change, &name)?;
            change.remove_exit(&name)?;
            sweep_exit_files(change)?;
            Ok(Removed { message: message(&name, heir.as_ref(), call.lang), removed: name, was_active })
        });
        removed.map_err(MultihopError::into_api_error)
    }
}

/// Another exit carries the traffic in the place of the chosen one, which goes: it is the chosen one from now on, and nothing
/// changes for clients.
fn without_chosen(replaced: Stored) -> Stored {
    let heir = replaced.active_exit.clone();
    let fallback_exits = replaced.fallback_exits.iter().filter(|exit| **exit != heir).cloned().collect();
    Stored { chosen_exit: heir, fallback_exits, ..replaced }
}

fn message(exit: &ExitName, heir: Option<&ExitName>, lang: Lang) -> String {
    match (lang, heir) {
        (Lang::En, None) => format!("VPN configuration '{exit}' removed"),
        (Lang::Tr, None) => format!("'{exit}' VPN yapılandırması kaldırıldı"),
        (Lang::En, Some(heir)) => {
            format!("VPN configuration '{exit}' removed; client traffic still goes through '{heir}'")
        }
        (Lang::Tr, Some(heir)) => {
            format!(
                "'{exit}' VPN yapılandırması kaldırıldı; istemci trafiği '{heir}' üzerinden geçmeye devam ediyor"
            )
        }
    }
}
