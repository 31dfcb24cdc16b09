//! `change_subnet`: moves the server and all clients to a new subnet.

use std::path::Path;

use phantom_engine::{Change, Engine, EngineError};
use phantom_host::HostError;
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{BackupEntry, Server, StoreCause, StoreError};
use phantom_types::{Said, Subnet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::validate_subnet_change::{Validation, validate};
use crate::{Core, CoreError, Entries, origin};

/// Moves the server and all clients to a new subnet. All connections drop; clients must fetch their configuration
/// again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSubnet {
    /// New subnet in CIDR form
    #[schemars(extend("x-tr" = "CIDR biçiminde yeni subnet"))]
    pub new_subnet: Subnet,
    /// Must be true
    #[serde(default)]
    #[schemars(extend("x-tr" = "true olmalıdır"))]
    pub confirm: bool,
}

/// The subnet was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetChanged {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub success: bool,
    /// The subnet before
    #[schemars(extend("x-tr" = "Önceki subnet"))]
    pub old_subnet: Subnet,
    /// The subnet now
    #[schemars(extend("x-tr" = "Şimdiki subnet"))]
    pub new_subnet: Subnet,
    /// Clients, without the server
    #[schemars(extend("x-tr" = "İstemci sayısı, sunucu hariç"))]
    pub clients_updated: usize,
    /// Folder of the backup below `backups/`
    #[schemars(extend("x-tr" = "`backups/` altındaki yedek klasörü"))]
    pub backup_id: String,
    /// Where every address went, the server's first
    #[schemars(extend("x-tr" = "Her adresin yeni karşılığı; ilk sırada sunucununki"))]
    pub ip_mapping: Entries<std::net::Ipv4Addr>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

impl Action for ChangeSubnet {
    type Module = Core;
    type Output = SubnetChanged;
    type Error = CoreError;
    const NAME: &'static str = "change_subnet";
    const SUMMARY: Text = Text { en: "Change the subnet", tr: "Subnet'i değiştir" };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "new_subnet=192.168.100.0/24 confirm=true";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR", "NETWORK_ERROR"];

    fn run(self, core: &Core, call: &Call) -> Result<SubnetChanged, CoreError> {
        core.engine().change(origin(Self::NAME), call, |change| {
            if !self.confirm {
                return Err(CoreError::NotConfirmed);
            }
            let engine = change.engine();
            let Validation { server, checks, warnings, errors, remap } =
                validate(engine, change, self.new_subnet, call.lang)?;
            let Some(remap) = remap.filter(|_| errors.is_empty()) else {
                return Err(CoreError::SubnetRefused { errors, warnings, checks: Box::new(checks) });
            };
            let created = engine.host().clock.now();
            let backup_id = backup(engine, change, &server, self.new_subnet)?;
            let entry =
                BackupEntry { id: backup_id.clone(), created, from: server.subnet, to: self.new_subnet };
            change.add_backup(&entry)?;
            change.change_subnet(self.new_subnet, &remap)?;
            follow(change, &backup_id)?;
            let server_moves = (server.subnet.server(), self.new_subnet.server());
            let moves = std::iter::once(&server_moves).chain(&remap.clients);
            Ok(SubnetChanged {
                success: true,
                old_subnet: server.subnet,
                new_subnet: self.new_subnet,
                clients_updated: remap.clients.len(),
                backup_id,
                ip_mapping: Entries(moves.map(|(old, new)| (old.to_string(), *new)).collect()),
                message: changed(server.subnet, self.new_subnet, call.lang),
            })
        })
    }
}

/// Lets the host follow: the interface is made again with the new addresses, prefix length and peers.
fn follow(change: &mut Change<'_>, backup_id: &str) -> Result<(), CoreError> {
    change.restart().map_err(|source| CoreError::SubnetChange {
        backup_id: backup_id.to_owned(),
        step: step_of(&source),
        rolled_back: false, // set at the end of the change when everything was rolled back
        source: Box::new(source),
    })
}

/// What was being done when it failed, in a word.
fn step_of(error: &EngineError) -> &'static str {
    let EngineError::Host { source, .. } = error else { return "verify" };
    let phantom_engine::HostFailure::Step(step) = &**source else { return "verify" };
    super::reconcile::kind_word(step.kind)
}

/// Keeps everything from before: the database, the configuration, the packet filter, and a manifest. One that could
/// not be completed is removed again.
fn backup(engine: &Engine, change: &Change<'_>, server: &Server, new: Subnet) -> Result<String, CoreError> {
    let files = &engine.host().files;
    let backups = engine.paths().backups_dir();
    let mut seconds = engine.host().clock.now().seconds();
    // A second change within the same second gets the next number.
    while files.info(&backups.join(backup_name(seconds))).map_err(not_kept(&backups))?.is_some() {
        seconds += 1;
    }
    let id = backup_name(seconds);
    let dir = backups.join(&id);
    let kept = fill(engine, change, server, new, &id, &dir);
    kept.inspect_err(|_| drop(files.remove_dir(&dir)))?;
    Ok(id)
}

fn fill(
    engine: &Engine,
    change: &Change<'_>,
    server: &Server,
    new: Subnet,
    id: &str,
    dir: &Path,
) -> Result<(), CoreError> {
    let files = &engine.host().files;
    files.make_dir(dir, 0o700).map_err(not_kept(dir))?;
    engine.store().copy_database(&dir.join("phantom.db"))?;
    let config = phantom_engine::Installation::wireguard_file(&server.interface);
    if let Some(content) = files.read(&config).map_err(not_kept(dir))?.map(Zeroizing::new) {
        write(engine, dir, &format!("{}.conf", server.interface), &content)?;
    }
    let wanted =
        engine.store().read(|state| engine.desired(state, phantom_engine::Coverage::WithoutPeers))?;
    write(engine, dir, "firewall.txt", format!("{:#?}\n", wanted.firewall).as_bytes())?;
    let manifest = json!({
        "backup_id": id, "old_subnet": server.subnet, "new_subnet": new, "clients": change.client_count()?,
        "interface": server.interface, "files": ["phantom.db", format!("{}.conf", server.interface), "firewall.txt"]
    });
    write(engine, dir, "manifest.json", format!("{manifest:#}\n").as_bytes())
}

fn not_kept(file: &Path) -> impl FnOnce(HostError) -> CoreError {
    let file = file.to_owned();
    |source| StoreError::Write { file, source: StoreCause::Told(Box::new(Said::from_error(&source))) }.into()
}

fn backup_name(seconds: i64) -> String {
    format!("subnet_change_{seconds}")
}

fn write(engine: &Engine, dir: &Path, name: &str, content: &[u8]) -> Result<(), CoreError> {
    let file = dir.join(name);
    phantom_host::write_and_verify(&*engine.host().files, &file, content, 0o600).map_err(not_kept(&file))
}

fn changed(old: Subnet, new: Subnet, lang: Lang) -> String {
    match lang {
        Lang::En => format!("Successfully changed subnet from {old} to {new}"),
        Lang::Tr => format!("Subnet başarıyla değiştirildi: {old} → {new}"),
    }
}
