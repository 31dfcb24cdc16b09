//! `disable`: turns Ghost Mode off.

use phantom_engine::{Origin, Scope, filters};
use phantom_ghost_state::{GhostChange as _, GhostState as _};
use phantom_module::{Action, Call, Effect, Text, TypedModule as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ghost, GhostError, keeper, validation};

/// Turns Ghost Mode off. Clients reach the WireGuard port directly again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disable {}

/// Ghost Mode is off.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Disabled {
    /// Always `inactive`
    #[schemars(extend("x-tr" = "Her zaman `inactive`"))]
    pub status: &'static str,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
    /// True; absent when it was not active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "true; aktif değilken bulunmaz"))]
    pub restored: Option<bool>,
    /// Chains of other packet filters from which an accept of ours was taken, as a saved copy may still hold it; rules of ours that stay where nobody can take them out; only where there are any
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinin, izin kuralımızın kaldırıldığı ve kaydedilmiş bir kopyası kuralı hâlâ içerebilecek zincirleri; kaldırılamadığı için kalan kurallarımız; yalnızca varsa"))]
    pub warnings: Vec<String>,
}

impl Action for Disable {
    type Module = Ghost;
    type Output = Disabled;
    type Error = GhostError;
    const NAME: &'static str = "disable";
    const SUMMARY: Text = Text { en: "Disable Ghost Mode", tr: "Ghost Mode'u devre dışı bırak" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["GHOST_MODE_ERROR"];

    fn run(self, ghost: &Ghost, call: &Call) -> Result<Disabled, GhostError> {
        let origin = Origin { module: Ghost::NAME, action: Self::NAME };
        let engine = ghost.engine();
        let before = filters::before(engine);
        let mut done = engine.change(origin, call, |change| {
            if !change.ghost_active()? {
                return Ok(Disabled {
                    status: "inactive",
                    message: super::status::inactive(call.lang),
                    restored: None,
                    warnings: Vec::new(),
                });
            }
            change.set_ghost(None)?;
            validation::forget(change)?;
            // All of it: undoing it brings the list of clients back as well.
            change.apply(Scope::Full)?;
            keeper::forget(change.engine())?;
            let message = call
                .lang
                .pick("Ghost Mode disabled successfully", "Ghost Mode başarıyla devre dışı bırakıldı");
            Ok::<_, GhostError>(Disabled {
                status: "inactive",
                message,
                restored: Some(true),
                warnings: Vec::new(),
            })
        })?;
        if !before.is_empty() {
            done.warnings = filters::saved_copies(engine, &before, &filters::before(engine), call.lang);
        }
        done.warnings.extend(filters::stuck(engine, call.lang));
        Ok(done)
    }
}
