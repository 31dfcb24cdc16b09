//! `import_vpn_config`: imports a provider's WireGuard configuration as an exit.

use std::path::{Path, PathBuf};

use phantom_engine::{Change, Engine};
use phantom_host::HostError;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_types::conf::FileKind;
use phantom_types::{ExitName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::collision::judge;
use crate::desired::exit_file;
use crate::import::{Import, ImportContext, ImportProblem, import, overlapping};
use crate::model::Exit;
use crate::rows::{MultihopChange as _, MultihopState as _};
use crate::state::{sweep_exit_files, write_exit_file};
use crate::unreadable::Unreadable;
use crate::{Multihop, MultihopError, origin, words};

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// Imports a WireGuard client configuration of a provider, or of any WireGuard server, as an exit.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportVpnConfig {
    /// Path of the WireGuard configuration file
    #[schemars(extend("x-tr" = "WireGuard yapılandırma dosyasının yolu", "format" = "path"))]
    pub config_path: String,
    /// Name for the configuration
    #[serde(default)]
    #[schemars(extend("x-tr" = "Yapılandırma için özel isim"))]
    pub custom_name: Option<ExitName>,
}

/// The exit was imported.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Imported {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub success: bool,
    /// Name of the exit
    #[schemars(extend("x-tr" = "Çıkış noktasının adı"))]
    pub exit_name: ExitName,
    /// The same name
    #[schemars(extend("x-tr" = "Aynı ad"))]
    pub config_name: ExitName,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
    /// What was made of MTU and keepalive
    #[schemars(extend("x-tr" = "MTU ve keepalive ile ilgili yapılanlar"))]
    pub optimizations: Vec<String>,
    /// Lines of the file that are not used
    #[schemars(extend("x-tr" = "Dosyanın kullanılmayan satırları"))]
    pub ignored: Vec<IgnoredLine>,
    /// What may be missed
    #[schemars(extend("x-tr" = "Eksik kalabilecekler"))]
    pub warnings: Vec<&'static str>,
    /// Always null: no copy of the file is made
    #[schemars(extend("x-tr" = "Her zaman null: dosyanın kopyası alınmaz"))]
    pub backup_path: Option<PathBuf>,
    /// What is stored
    #[schemars(extend("x-tr" = "Kaydedilenler"))]
    pub metadata: ImportMetadata,
}

/// A line that is not used.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IgnoredLine {
    /// Its key
    #[schemars(extend("x-tr" = "Anahtarı"))]
    pub key: String,
    /// Its number, from 1
    #[schemars(extend("x-tr" = "Satır numarası, 1'den başlar"))]
    pub line: usize,
    /// Why it is not used
    #[schemars(extend("x-tr" = "Neden kullanılmadığı"))]
    pub reason: &'static str,
}

/// What is stored of an import.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportMetadata {
    /// Name of the exit
    #[schemars(extend("x-tr" = "Çıkış noktasının adı"))]
    pub name: ExitName,
    /// When it was imported
    #[schemars(with = "String", extend("x-tr" = "İçe aktarıldığı zaman"))]
    pub imported_at: Timestamp,
    /// The file that was read
    #[schemars(extend("x-tr" = "Okunan dosya"))]
    pub original_path: String,
    /// Always null
    #[schemars(extend("x-tr" = "Her zaman null"))]
    pub backup_path: Option<PathBuf>,
    /// A file with what is used of it, for reading by people
    #[schemars(extend("x-tr" = "Kullanılanları içeren, okunmak üzere yazılan dosya"))]
    pub config_file: PathBuf,
    /// Whose exit it is
    #[schemars(extend("x-tr" = "Sağlayıcı"))]
    pub provider: String,
    /// What was made of MTU and keepalive
    #[schemars(extend("x-tr" = "MTU ve keepalive ile ilgili yapılanlar"))]
    pub optimizations_applied: Vec<String>,
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub multihop_enhanced: bool,
}

impl Action for ImportVpnConfig {
    type Module = Multihop;
    type Output = Imported;
    type Error = MultihopError;
    const NAME: &'static str = "import_vpn_config";
    const SUMMARY: Text =
        Text { en: "Import a VPN configuration", tr: "VPN yapılandırmasını içe aktar" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "config_path=/home/user/xeovo-uk.conf";
    const ERRORS: &'static [&'static str] = &["VPN_CONFIG_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<Imported, MultihopError> {
        let engine = multihop.engine();
        // Before the file: who may not import may not learn what can be read.
        engine.read(|_| Ok::<_, MultihopError>(()))?;
        let path = absolute(&self.config_path);
        let text = read(engine, &path)?;
        let source = ImportContext {
            name: self.custom_name,
            path: &path,
            uplink_mtu: uplink_mtu(engine).unwrap_or_default(),
            now: engine.host().clock.now(),
        };
        let read = import(&text, source).map_err(|unfit| match unfit {
            ImportProblem::Content(error) => MultihopError::Content(error),
            ImportProblem::NoName => MultihopError::NoName,
        })?;
        engine.change(origin(Self::NAME), call, |change| store(change, read, call.lang))
    }
}

fn store(change: &mut Change<'_>, read: Import, lang: Lang) -> Result<Imported, MultihopError> {
    let Import { exit, ignored, carries_all } = read;
    let subnet = super::server(change)?.subnet;
    if let Some(address) = overlapping(&exit, subnet) {
        return Err(MultihopError::Overlap { address, subnet });
    }
    let installation = change.engine().installation()?;
    // Where a name leads is judged when it is asked for: an import contacts nobody.
    let collisions = judge(&installation, change, &exit, None)?;
    if !collisions.is_empty() {
        return Err(MultihopError::Collides { exit: exit.name, collisions });
    }
    sweep_exit_files(change)?;
    let config_file = exit_file(&installation, &exit.name);
    // A file that somebody put there, perhaps the very one that is imported, is not written over.
    if change.exit(&exit.name)?.is_some() || is_foreign(change.engine(), &config_file)? {
        return Err(MultihopError::Exists { exit: exit.name });
    }
    change.add_exit(&exit)?;
    write_exit_file(change, &exit.name)?;
    let line = |ignored: phantom_types::conf::Ignored| IgnoredLine {
        reason: words::ignored(ignored.kind, lang),
        key: ignored.key,
        line: ignored.line,
    };
    Ok(Imported {
        success: true,
        exit_name: exit.name.clone(),
        config_name: exit.name.clone(),
        message: lang
            .pick("VPN configuration imported successfully", "VPN yapılandırması başarıyla içe aktarıldı"),
        optimizations: words::optimizations(&exit, lang),
        ignored: ignored.into_iter().map(line).collect(),
        warnings: if carries_all { Vec::new() } else { vec![words::carries_less(lang)] },
        backup_path: None,
        metadata: metadata(exit, config_file, lang),
    })
}

fn metadata(exit: Exit, config_file: PathBuf, lang: Lang) -> ImportMetadata {
    ImportMetadata {
        optimizations_applied: words::optimizations(&exit, lang),
        name: exit.name,
        imported_at: exit.imported_at,
        original_path: exit.original_path,
        backup_path: None,
        config_file,
        provider: exit.provider,
        multihop_enhanced: true,
    }
}

/// The text of a regular file that is not too large.
fn read(engine: &Engine, path: &Path) -> Result<Zeroizing<String>, MultihopError> {
    text_of(engine, path).map_err(|source| MultihopError::File { path: path.to_owned(), source })
}

fn text_of(engine: &Engine, path: &Path) -> Result<Zeroizing<String>, Unreadable> {
    let files = &engine.host().files;
    let info = files.info(path).map_err(Unreadable::Host)?.ok_or(Unreadable::Absent)?;
    if info.dir {
        return Err(Unreadable::Folder);
    }
    if info.len > FILE_MAX {
        return Err(Unreadable::TooLarge);
    }
    if info.len == 0 {
        // Also what is no regular file has no length: a pipe would keep us waiting, a device would never end.
        return Ok(Zeroizing::default());
    }
    let content = files.read(path).map_err(Unreadable::Host)?.map(Zeroizing::new);
    let content = content.ok_or(Unreadable::Absent)?;
    if let Some(kind) = FileKind::of_bytes(&content) {
        return Err(Unreadable::OtherKind(kind));
    }
    let text = std::str::from_utf8(&content).map_err(|_| Unreadable::NoText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whether there is a file of somebody else.
fn is_foreign(engine: &Engine, file: &Path) -> Result<bool, MultihopError> {
    let failed = |source| MultihopError::own(file, source);
    if engine.host().files.info(file).map_err(failed)?.is_none() {
        return Ok(false);
    }
    let content = engine.host().files.read(file).map_err(failed)?.map(Zeroizing::new);
    Ok(!content.is_some_and(|content| engine.tags().owns_file(&content)))
}

/// Largest packet of the uplink.
fn uplink_mtu(engine: &Engine) -> Result<Option<u32>, HostError> {
    let network = &engine.host().network;
    let Some(uplink) = network.uplink()? else { return Ok(None) };
    Ok(network.links()?.into_iter().find(|link| link.name == uplink.interface).map(|link| link.mtu))
}

/// The path from `/`; without a working directory it stays as it is.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
