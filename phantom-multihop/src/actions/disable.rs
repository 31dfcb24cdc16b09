//! `disable_multihop`: back to the server's own uplink.

use phantom_module::{Action, Call, Effect, Text};
use phantom_types::ExitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rows::MultihopState as _;
use crate::{Multihop, MultihopError, origin, switch};

/// Routes client traffic through the server's own uplink again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableMultihop {}

/// Client traffic does not go through an exit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MultihopDisabled {
    /// Always false
    #[schemars(extend("x-tr" = "Her zaman false"))]
    pub multihop_enabled: bool,
    /// The exit before; absent when it was not enabled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Önceki çıkış noktası; etkin değilken bulunmaz"))]
    pub previous_exit: Option<ExitName>,
    /// True; absent when it was not enabled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "true; etkin değilken bulunmaz"))]
    pub interface_cleaned: Option<bool>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

impl Action for DisableMultihop {
    type Module = Multihop;
    type Output = MultihopDisabled;
    type Error = MultihopError;
    const NAME: &'static str = "disable_multihop";
    const SUMMARY: Text = Text { en: "Disable multihop", tr: "Multihop'u devre dışı bırak" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["MULTIHOP_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<MultihopDisabled, MultihopError> {
        let disabled = multihop.engine().change(origin(Self::NAME), call, |change| {
            let Some(before) = change.multihop()? else {
                let message =
                    call.lang.pick("Multihop is not currently enabled", "Multihop şu anda etkin değil");
                return Ok(MultihopDisabled {
                    multihop_enabled: false,
                    previous_exit: None,
                    interface_cleaned: None,
                    message,
                });
            };
            let off = switch::disable(change, call, &before);
            off.map_err(|error| error.with_restored(Some(before.active_exit.clone())))?;
            Ok(MultihopDisabled {
                multihop_enabled: false,
                previous_exit: Some(before.active_exit),
                interface_cleaned: Some(true),
                message: call.lang.pick(
                    "Multihop disabled - client traffic now routes directly through the server",
                    "Multihop devre dışı - istemci trafiği artık doğrudan sunucudan çıkıyor",
                ),
            })
        });
        disabled.map_err(MultihopError::into_api_error)
    }
}
