//! `list_exits`: the imported exits.

use phantom_module::{Action, Call, Effect, Text};
use phantom_types::{Endpoint, ExitName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collision::{judge, sentences};
use crate::model::Exit;
use crate::rows::MultihopState as _;
use crate::{Multihop, MultihopError};

/// Lists the imported exits by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListExits {}

/// The imported exits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExitList {
    /// The exits by name
    #[schemars(extend("x-tr" = "Ada göre sıralı çıkış noktaları"))]
    pub exits: Vec<ExitItem>,
    /// Client traffic goes through an exit
    #[schemars(extend("x-tr" = "İstemci trafiği bir çıkış noktasından geçiyor"))]
    pub multihop_enabled: bool,
    /// The exit that it goes through
    #[schemars(extend("x-tr" = "Kullanılan çıkış noktası"))]
    pub active_exit: Option<ExitName>,
    /// How many exits there are
    #[schemars(extend("x-tr" = "Çıkış noktası sayısı"))]
    pub total: usize,
    /// The exit that was chosen; only while another one has taken its place
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Seçilmiş olan çıkış noktası; yalnızca yerini bir başkası almışken"))]
    pub chosen_exit: Option<ExitName>,
}

/// An imported exit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExitItem {
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub name: ExitName,
    /// Where it is, as in the imported file
    #[schemars(extend("x-tr" = "İçe aktarılan dosyadaki uç noktası"))]
    pub endpoint: Endpoint,
    /// Client traffic goes through it
    #[schemars(extend("x-tr" = "İstemci trafiği buradan geçiyor"))]
    pub active: bool,
    /// Whose exit it is
    #[schemars(extend("x-tr" = "Sağlayıcı"))]
    pub provider: String,
    /// When it was imported
    #[schemars(with = "String", extend("x-tr" = "İçe aktarıldığı zaman"))]
    pub imported_at: Timestamp,
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub multihop_enhanced: bool,
    /// What of it collides with this server, a sentence each; only while there is such a thing
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Bu sunucuyla çakışan yanları, her biri bir cümle; yalnızca varsa"))]
    pub collisions: Option<Vec<String>>,
}

impl Action for ListExits {
    type Module = Multihop;
    type Output = ExitList;
    type Error = MultihopError;
    const NAME: &'static str = "list_exits";
    const SUMMARY: Text = Text { en: "List exits", tr: "Çıkış noktalarını listele" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<ExitList, MultihopError> {
        let engine = multihop.engine();
        engine.read(|state| {
            let installation = engine.installation()?;
            let stored = state.multihop()?;
            let item = |exit: Exit| -> Result<ExitItem, MultihopError> {
                let used = stored.as_ref().filter(|stored| stored.active_exit == exit.name);
                let found =
                    judge(&installation, state, &exit, used.and_then(|stored| stored.endpoint_address))?;
                Ok(ExitItem {
                    active: used.is_some(),
                    name: exit.name.clone(),
                    endpoint: exit.endpoint.clone(),
                    provider: exit.provider.clone(),
                    imported_at: exit.imported_at,
                    multihop_enhanced: true,
                    collisions: sentences(&found, call.lang),
                })
            };
            let exits = state.exits()?.into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
            let active = stored.as_ref().map(|stored| stored.active_exit.clone());
            let replaced = stored.filter(|stored| stored.chosen_exit != stored.active_exit);
            Ok(ExitList {
                total: exits.len(),
                exits,
                multihop_enabled: active.is_some(),
                active_exit: active,
                chosen_exit: replaced.map(|stored| stored.chosen_exit),
            })
        })
    }
}
