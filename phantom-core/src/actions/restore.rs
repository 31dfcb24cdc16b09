//! `restore`: puts a copy of the stored state in the place of the present one.

use std::path::PathBuf;

use phantom_engine::{Change, Engine, Scope};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{Server, State, StateCopy, StoreError};
use phantom_types::ClientName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::absolute;
use super::export_client::Outline;
use crate::status::check_port;
use crate::{Core, CoreError, origin};

/// How many names each list shows.
const SHOWN: usize = 200;

/// Puts a backup in the place of the stored state: clients, keys, settings and modules as they were then. The host
/// follows, and what was there is kept. Clients that were removed since come back with their access.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The backup
    #[schemars(extend("x-tr" = "Yedek dosyası", "format" = "path"))]
    pub path: String,
    /// Only check the file and show what would change
    #[serde(default)]
    #[schemars(extend("x-tr" = "Yalnızca dosyayı denetle ve nelerin değişeceğini göster"))]
    pub dry_run: bool,
}

/// What was restored, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Restored {
    /// Only the file was checked
    #[schemars(extend("x-tr" = "Yalnızca dosya denetlendi"))]
    pub dry_run: bool,
    /// The backup is stored now
    #[schemars(extend("x-tr" = "Yedek şimdi kayıtlı durumdur"))]
    pub restored: bool,
    /// The backup
    #[schemars(extend("x-tr" = "Yedek dosyası"))]
    pub path: PathBuf,
    /// Clients in it
    #[schemars(extend("x-tr" = "İçindeki istemci sayısı"))]
    pub clients: u32,
    /// What is different from the present state; null where that cannot be read
    #[schemars(extend("x-tr" = "Şimdiki durumdan farkı; o okunamıyorsa null"))]
    pub changes: Option<Differences>,
    /// The copy that was kept of what was there
    #[schemars(extend("x-tr" = "Önceki durumdan saklanan kopya"))]
    pub kept: Option<PathBuf>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

/// How a backup differs from what is stored. Each list has up to 200 names, its total counts all of them.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Differences {
    /// Clients that come back with their access
    #[schemars(extend("x-tr" = "Erişimleriyle birlikte geri gelen istemciler"))]
    pub returning: Vec<ClientName>,
    /// How many come back
    #[schemars(extend("x-tr" = "Geri gelenlerin sayısı"))]
    pub returning_total: usize,
    /// Clients that are lost
    #[schemars(extend("x-tr" = "Kaybolan istemciler"))]
    pub lost: Vec<ClientName>,
    /// How many are lost
    #[schemars(extend("x-tr" = "Kaybolanların sayısı"))]
    pub lost_total: usize,
    /// Clients that stay and need a new configuration
    #[schemars(extend("x-tr" = "Kalan ama yeni yapılandırma gereken istemciler"))]
    pub new_file_needed: Vec<ClientName>,
    /// How many need one
    #[schemars(extend("x-tr" = "Yeni yapılandırma gerekenlerin sayısı"))]
    pub new_file_needed_total: usize,
}

impl Action for Restore {
    type Module = Core;
    type Output = Restored;
    type Error = CoreError;
    const NAME: &'static str = "restore";
    const SUMMARY: Text = Text {
        en: "Restore the stored state from a backup",
        tr: "Kayıtlı durumu bir yedekten geri yükle",
    };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "path=/opt/phantom-wg/backups/state/2026-11-29.db dry_run=true";
    const ERRORS: &'static [&'static str] = &["CONFIG_ERROR", "PORT_IN_USE", "SERVICE_OPERATION_FAILED"];
    // What it brings may be the first that is stored, or take the place of what cannot be read.
    const NEEDS_SETUP: bool = false;

    fn run(self, core: &Core, call: &Call) -> Result<Restored, CoreError> {
        let (engine, path) = (core.engine(), absolute(&self.path));
        if self.dry_run {
            return engine.look_into_copy(&path, |copy| {
                let changes = compare(engine, copy)?;
                let message = checked(call.lang).to_owned();
                report(path.clone(), copy, changes, message)
            });
        }
        engine.restore(origin(Self::NAME), call, &path, |change, kept| {
            let changes = compare(engine, change)?;
            take_over(engine, change)?;
            // What was closed stays closed until the backup is stored.
            change.apply_fail_closed(Scope::Full)?;
            let mut restored = report(path.clone(), change, changes, done(kept, call.lang))?;
            (restored.dry_run, restored.restored) = (false, true);
            restored.kept = kept.map(|kept| kept.path.clone());
            Ok(restored)
        })
    }
}

/// Lets the copy know what it cannot: how this host was before it was set up, and whether its service was stopped since
/// it has started.
fn take_over(engine: &Engine, change: &mut Change<'_>) -> Result<(), CoreError> {
    let mut server = super::server(change)?;
    let present = present(engine, State::server)?.flatten();
    if let Some(Server { stopped_in, ip_forward_before, .. }) = present {
        server = Server { stopped_in, ip_forward_before, ..server };
    }
    change.set_server(&server)?;
    check_port(engine, &server, server.port)
}

/// Asks the present state; `None` where it cannot be read.
fn present<'e, T>(
    engine: &'e Engine,
    ask: impl FnOnce(&State<'e>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match engine.store().read(ask) {
        Err(StoreError::Unreadable { .. } | StoreError::Newer { .. }) => Ok(None),
        asked => asked.map(Some),
    }
}

fn report(
    path: PathBuf,
    copy: &State<'_>,
    changes: Option<Differences>,
    message: String,
) -> Result<Restored, CoreError> {
    let clients = copy.client_count()?;
    Ok(Restored { dry_run: true, restored: false, path, clients, changes, kept: None, message })
}

/// What is different in a copy. Clients are the same if they have the same key.
fn compare(engine: &Engine, copy: &State<'_>) -> Result<Option<Differences>, StoreError> {
    present(engine, |now| {
        let mut found = Differences::default();
        let (then_outline, now_outline) = (Outline::read(copy)?, Outline::read(now)?);
        copy.each_client(|client| {
            match now.client_by_key(&client.public_key)? {
                None => note(&mut found.returning, &mut found.returning_total, client.name),
                Some(present) => {
                    let then = then_outline.as_ref().map(|outline| outline.of_peer(&client));
                    let now = now_outline.as_ref().map(|outline| outline.of_client(&present));
                    if then != now {
                        note(&mut found.new_file_needed, &mut found.new_file_needed_total, client.name);
                    }
                }
            }
            Ok::<_, StoreError>(())
        })?;
        now.each_client(|client| {
            if copy.client_by_key(&client.public_key)?.is_none() {
                note(&mut found.lost, &mut found.lost_total, client.name);
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(found)
    })
}

fn note(list: &mut Vec<ClientName>, total: &mut usize, name: &str) {
    *total += 1;
    if list.len() < SHOWN {
        list.extend(name.parse::<ClientName>()); // the store lets no other name in
    }
}

fn checked(lang: Lang) -> &'static str {
    lang.pick(
        "The backup can be restored; nothing was changed",
        "Yedek geri yüklenebilir; hiçbir şey değiştirilmedi",
    )
}

fn done(kept: Option<&StateCopy>, lang: Lang) -> String {
    match (kept.map(|kept| kept.path.display()), lang) {
        (Some(kept), Lang::En) => format!("Backup restored. What was there is kept in {kept}"),
        (Some(kept), Lang::Tr) => format!("Yedek geri yüklendi. Önceki durum {kept} dosyasında saklanıyor"),
        (None, Lang::En) => "Backup restored".to_owned(),
        (None, Lang::Tr) => "Yedek geri yüklendi".to_owned(),
    }
}
