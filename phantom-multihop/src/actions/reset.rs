//! `reset_state`: removes every object of Multihop from the host.

use phantom_module::{Action, Call, Effect, Lang, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rows::{MultihopChange as _, MultihopState as _};
use crate::{Multihop, MultihopError, origin, switch};

/// Removes every Multihop object from the host, whatever its condition, and stores that it is disabled.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetState {}

/// Nothing of Multihop is left on the host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateReset {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub reset_complete: bool,
    /// Always true: the host was looked at again
    #[schemars(extend("x-tr" = "Her zaman true: sunucuya yeniden bakıldı"))]
    pub cleanup_successful: bool,
    /// What was removed or found absent
    #[schemars(extend("x-tr" = "Kaldırılan veya bulunmayan nesneler"))]
    pub cleaned_up: Vec<&'static str>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

impl Action for ResetState {
    type Module = Multihop;
    type Output = StateReset;
    type Error = MultihopError;
    const NAME: &'static str = "reset_state";
    const SUMMARY: Text = Text { en: "Reset multihop state", tr: "Multihop durumunu sıfırla" };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["MULTIHOP_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<StateReset, MultihopError> {
        let reset = multihop.engine().change(origin(Self::NAME), call, |change| {
            // What cannot be read is removed all the same.
            let before = change.multihop().ok().flatten();
            change.set_multihop(None)?;
            if let Some(before) = before {
                switch::disable(change, call, &before)?;
            } else {
                change.set_multihop(None)?;
                switch::open(change)?;
            }
            Ok(StateReset {
                reset_complete: true,
                cleanup_successful: true,
                cleaned_up: labels(call.lang).to_vec(),
                message: call.lang.pick(
                    "Multihop state reset - client traffic now routes directly through the server",
                    "Multihop durumu sıfırlandı - istemci trafiği artık doğrudan sunucudan çıkıyor",
                ),
            })
        });
        reset.map_err(|error: MultihopError| error.into_api_error().of_reset())
    }
}

fn labels(lang: Lang) -> [&'static str; 7] {
    lang.pick(
        [
            "VPN interfaces (wg_vpn)",
            "Multihop routing rules",
            "Policy routing tables",
            "NAT rules",
            "Multihop configuration state",
            "systemd-networkd routing policies",
            "Multihop monitor",
        ],
        [
            "VPN arayüzleri (wg_vpn)",
            "Multihop yönlendirme kuralları",
            "Politika yönlendirme tabloları",
            "NAT kuralları",
            "Multihop yapılandırma durumu",
            "systemd-networkd yönlendirme politikaları",
            "Multihop izleyicisi",
        ],
    )
}
