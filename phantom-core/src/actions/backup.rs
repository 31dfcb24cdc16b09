//! `backup`: writes the stored state into one file.

use std::path::{Path, PathBuf};

use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{CopyKind, StateCopy};
use phantom_types::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// Copies the stored state, with all keys, into one file that only root can read. Without a path it is the copy of this
/// day, in the place of the one that the first change of the day made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// The new file; without it the copy is kept with the daily ones
    #[serde(default)]
    #[schemars(extend("x-tr" = "Yeni dosya; verilmezse kopya günlük kopyaların arasına konur", "format" = "path"))]
    pub path: Option<String>,
}

/// The stored state was copied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BackedUp {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub success: bool,
    /// The file
    #[schemars(extend("x-tr" = "Dosya"))]
    pub path: PathBuf,
    /// Clients in it
    #[schemars(extend("x-tr" = "İçindeki istemci sayısı"))]
    pub clients: u32,
    /// Copies that the server keeps by itself, the newest first
    #[schemars(extend("x-tr" = "Sunucunun kendiliğinden sakladığı kopyalar; en yenisi başta"))]
    pub copies: Vec<KeptCopy>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

/// A copy that the server keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeptCopy {
    /// The file
    #[schemars(extend("x-tr" = "Dosya"))]
    pub path: PathBuf,
    /// Of when it is
    #[schemars(extend("x-tr" = "Hangi zamana ait olduğu"))]
    pub created: Timestamp,
}

impl Action for Backup {
    type Module = Core;
    type Output = BackedUp;
    type Error = CoreError;
    const NAME: &'static str = "backup";
    const SUMMARY: Text =
        Text { en: "Copy the stored state into a file", tr: "Kayıtlı durumu bir dosyaya kopyala" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "path=/root/phantom-wg.db";
    const ERRORS: &'static [&'static str] = &["CONFIG_ERROR"];

    fn run(self, core: &Core, call: &Call) -> Result<BackedUp, CoreError> {
        let engine = core.engine();
        let clients = engine.read(|state| Ok::<_, CoreError>(state.client_count()?))?;
        let store = engine.store();
        let path = if let Some(path) = self.path {
            let path = absolute(&path);
            store.back_up(&path)?;
            path
        } else {
            store.make_copy(engine.host().clock.now())?.path
        };
        let copies = store.copies()?.into_iter().filter(|copy| copy.kind != CopyKind::File);
        let copies = copies.map(|StateCopy { path, made, .. }| KeptCopy { path, created: made });
        Ok(BackedUp {
            success: true,
            message: written(&path, call.lang),
            path,
            clients,
            copies: copies.collect(),
        })
    }
}

/// The path, seen from the working directory.
pub(super) fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn written(path: &Path, lang: Lang) -> String {
    let path = path.display();
    match lang {
        Lang::En => {
            format!("Backup written to {path}. It holds all keys: keep it where nobody else can read it")
        }
        Lang::Tr => format!(
            "Yedek {path} dosyasına yazıldı. Bütün anahtarları içerir: kimsenin okuyamayacağı bir yerde saklayın"
        ),
    }
}
