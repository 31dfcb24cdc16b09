//! The keeper: a process with the rights to read secrets, certificates and the decoy, that keeps a tunnel server without
//! any rights configured.
//!
//! It pushes the configuration whenever the server has (re)started and whenever something changed, renews certificates
//! of an authority, and writes down how things are. It decides nothing by itself: `machine` says what to do, this does
//! it.

mod asking;
mod by_server;
mod clients;
mod file;
mod load;
mod machine;
mod status;
mod watch;
mod way;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use phantom_certs::acme::{Advice, RenewalQuery, advice};
use phantom_certs::challenge::Challenger;
use phantom_certs::issue::TIME_LIMIT;
use phantom_certs::store::write_whole;
use phantom_certs::{CertStore, CertificateRequest, Listeners, Split, with_causes};
use phantom_types::{Lang, Timestamp};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

pub use by_server::ByServer;
use clients::{ClientList, PushResult};
pub use file::{AcmeAccess, CertificateFiles, DecoySource, KeeperFile, KeeperFileError, Source};
use load::{Bundle, Unusable};
use machine::{KeeperTask, Loaded, Machine};
use status::{Failed, Missed, Status, Written};
use watch::{Folders, Watch};
pub use way::Way;

use crate::config::{Configuration, Decoy, MAX_SECRETS};
use crate::control::{Control, ControlError, NOT_A_REQUEST};
use crate::log;

/// Where the keeper finds and writes what.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// Its configuration; see [`KeeperFile`].
    pub config: PathBuf,
    /// The control socket of the server.
    pub control: PathBuf,
    /// Where it writes its status.
    pub status: PathBuf,
    /// How packet filters let the authority in while it asks.
    pub way: Way,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// The language of its lines on standard error. What it writes into files is English: programs read it.
    pub lang: Lang,
}

/// The keeper could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The kernel's help was refused.
    #[error("{0} cannot be waited for")]
    Wait(&'static str, #[source] io::Error),
}

/// Keeps a server until SIGTERM or SIGINT. `ready` is called once: when the server has acknowledged its first configuration, or
/// it is clear that it will not soon. Whatever goes wrong meanwhile is written to the status file and, when it is new, to
/// standard error.
///
/// The status file is removed at the end, but for what it says of failed attempts to get a certificate. Those of an earlier keeper
/// count, so that an authority is not asked more often for being asked by many processes.
pub async fn run(options: &KeeperOptions, ready: impl FnOnce()) -> Result<(), KeepError> {
    let on = |kind| signal(kind).map_err(|error| KeepError::Wait("a signal", error));
    let [mut terminate, mut interrupt] = [on(SignalKind::terminate())?, on(SignalKind::interrupt())?];
    let mut keeper = Keeper::new(options)?;
    // Whatever it waits for, an answer of the server's among it, an end is heard.
    tokio::select! {
        never = keeper.work(ready) => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    keeper.leave();
    Ok(())
}

/// Tells the server everything. One that was started by a program of before, which connects to a web server in its own way only,
/// shows its own page until it is restarted: strangers never come to a web server in another way than was said.
async fn configure(link: &mut Control, configuration: Configuration, lang: Lang) -> Result<(), ControlError> {
    let Decoy::Upstream(server) = &configuration.decoy else { return link.configure(configuration).await };
    let plain = server.is_plain();
    let builtin = Configuration { decoy: Decoy::Builtin, ..configuration.clone() };
    match link.configure(configuration).await {
        Err(ControlError::Refused(why)) if !plain && why.starts_with(NOT_A_REQUEST) => {
            log::line(
                lang,
                "strangers see the built-in page until the tunnel server, which is of an earlier version, is restarted",
            );
            link.configure(builtin).await
        }
        told => told,
    }
}

type Issuance = Pin<Box<dyn Future<Output = Result<(), Missed>>>>;
type Question = Pin<Box<dyn Future<Output = Result<Option<Advice>, Duration>>>>;

/// How long an authority may take to say when it suggests to renew.
const ADVICE_LIMIT: Duration = Duration::from_mins(1);

struct Keeper<'o> {
    options: &'o KeeperOptions,
    machine: Machine,
    watch: Watch,
    folders: Folders,
    hangup: Signal,
    link: Option<Control>,
    configuration: Option<Configuration>,
    digest: [u8; 32],
    /// What of it the server has.
    pushed: Option<[u8; 32]>,
    clients: ClientList,
    generation: u64,
    /// The configuration that was read last, perhaps without a usable certificate.
    file: Option<KeeperFile>,
    issuance: Option<Issuance>,
    question: Option<Question>,
    /// What a keeper before this one had tried in vain.
    failed: Option<Failed>,
    told: Option<String>,
}

impl<'o> Keeper<'o> {
    fn new(options: &'o KeeperOptions) -> Result<Self, KeepError> {
        let hangup = signal(SignalKind::hangup()).map_err(|error| KeepError::Wait("a signal", error))?;
        Ok(Self {
            options,
            machine: Machine::new(),
            watch: Watch::default(),
            folders: load::folders(&options.config, None),
            hangup,
            link: None,
            configuration: None,
            digest: [0; 32],
            pushed: None,
            clients: ClientList::default(),
            generation: 0,
            file: None,
            issuance: None,
            question: None,
            failed: Failed::read(&options.status),
            told: None,
        })
    }

    async fn work(&mut self, ready: impl FnOnce()) -> Infallible {
        let mut ready = Some(ready);
        loop {
            match self.machine.step((self.options.clock)()) {
                KeeperTask::Load => self.load(),
                KeeperTask::Connect => self.connect().await,
                KeeperTask::Push => self.push().await,
                KeeperTask::Ready => ready.take().into_iter().for_each(|ready| ready()),
                KeeperTask::Issue => self.begin_issuance(),
                KeeperTask::Ask => self.begin_question(),
                KeeperTask::Write(status) => self.write(&status),
                KeeperTask::Wait(longest) => self.wait(longest).await,
            }
        }
    }

    fn load(&mut self) {
        // Watched before it is read: a change in between is then an event.
        self.watch.aim(&self.folders);
        match load::load(&self.options.config) {
            Ok(bundle) => self.take(bundle),
            Err(unusable) => self.keep_certificate(*unusable),
        }
        if let Some(file) = &self.file
            && let Some(failed) = self.failed.take().filter(|failed| failed.is_of(file))
        {
            let at = failed.at();
            self.machine.resume(failed.times, at, random(), failed.missed());
        }
        let folders = load::folders(&self.options.config, self.file.as_ref());
        if folders != self.folders {
            self.folders = folders;
            self.machine.changed();
        }
    }

    /// The certificate cannot be used, so that the one before stays in force. Who may open tunnels follows all the same: an ended
    /// secret must not open any only because a certificate is broken.
    fn keep_certificate(&mut self, Unusable { text, file }: Unusable) {
        let mut texts = vec![text];
        if let Some(file) = &file {
            let clients = self.clients.read(file.clients.as_deref());
            let followed = self.configuration.as_mut().is_some_and(|configuration| {
                configuration.secrets.clone_from(&file.secrets);
                configuration.wireguard_port = file.wireguard_port;
                let digest = load::digest(configuration).unwrap_or(self.digest);
                std::mem::replace(&mut self.digest, digest) != digest
            });
            if followed || clients == Ok(true) {
                self.generation += 1;
                self.machine.followed(self.generation);
            }
            texts.extend(clients.err());
        }
        let acme = |file: &KeeperFile| file.source() == Some(Source::Acme);
        let obtain = file.as_ref().is_some_and(acme);
        self.file = file.or(self.file.take());
        texts.extend(self.watch.trouble());
        self.machine.unusable(texts.join("; "), obtain, random());
    }

    fn take(&mut self, bundle: Bundle) {
        // A list that cannot be read leaves the one before in force.
        let news = self.clients.read(bundle.file.clients.as_deref());
        if self.digest != bundle.digest || news == Ok(true) {
            self.generation += 1;
            self.digest = bundle.digest;
            self.configuration = Some(bundle.configuration);
        }
        let warnings: Vec<String> =
            bundle.warning.into_iter().chain(news.err()).chain(self.watch.trouble()).collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        let source = bundle.file.source();
        let loaded = Loaded { generation: self.generation, source, life: bundle.life };
        self.file = Some(bundle.file);
        self.machine.loaded(loaded, warning, random());
    }

    async fn connect(&mut self) {
        let link = Control::connect(&self.options.control).await;
        self.machine.connected(link.as_ref().map(drop).map_err(|error| with_causes(error)));
        self.link = link.ok();
        // It may be a server that knows nothing.
        self.pushed = None;
        self.clients.forget();
    }

    async fn push(&mut self) {
        let (Some(link), Some(configuration)) = (&mut self.link, &self.configuration) else {
            return self.machine.disconnected();
        };
        // The clients first: a server without a configuration lets nobody in, so that it turns none of them away.
        let result = match self.clients.push(link).await {
            Ok(PushResult::Singly) if self.pushed == Some(self.digest) => Ok(()),
            Ok(told) => {
                let mut configuration = configuration.clone();
                if told == PushResult::InConfiguration {
                    let path = self.file.as_ref().and_then(|file| file.clients.as_deref());
                    let room = MAX_SECRETS.saturating_sub(configuration.secrets.len());
                    configuration.secrets.extend(clients::secrets(path, room));
                }
                configure(link, configuration, self.options.lang).await
            }
            Err(error) => Err(error),
        };
        if result.is_ok() {
            self.pushed = Some(self.digest);
        } else {
            self.link = None;
        }
        self.machine.pushed(result.map_err(|error| with_causes(&error)));
    }

    fn begin_issuance(&mut self) {
        let Some((file, acme)) = self.file.as_ref().and_then(|file| Some((file, file.acme.clone()?))) else {
            return self.machine.issued(
                Err("no authority is configured".into()),
                (self.options.clock)(),
                random(),
            );
        };
        let listeners = Listeners::new(acme.listen, acme.tls_alpn_port, acme.http01_port);
        // A server that runs has the port, configured or not; without one it is free.
        let challenger: Box<dyn Challenger> = if self.link.is_some() {
            Box::new(Split { tls_alpn: ByServer::new(&self.options.control), http: listeners })
        } else {
            Box::new(listeners)
        };
        let request = CertificateRequest {
            name: file.domain.clone(),
            directory: acme.directory,
            ca_file: acme.ca_file,
            time_limit: TIME_LIMIT,
            renew: true,
        };
        let (clock, lang, way) = (self.options.clock, self.options.lang, self.options.way.clone());
        self.issuance = Some(Box::pin(async move {
            let store =
                CertStore::open(&acme.account_dir).map_err(|error| Missed::from(with_causes(&error)))?;
            way.tell("open", lang).await;
            let issued = phantom_certs::issue(&request, &store, &challenger, &clock).await;
            way.tell("close", lang).await;
            let issued = issued.map_err(|error| Missed { text: with_causes(&error), bar: error.wait() })?;
            issued.warnings.iter().for_each(|warning| log::line(lang, warning));
            Ok(())
        }));
    }

    fn begin_question(&mut self) {
        let Some((file, acme)) = self.file.as_ref().and_then(|file| Some((file, file.acme.clone()?))) else {
            return self.machine.advised(Ok(None), (self.options.clock)(), random());
        };
        let name = file.domain.clone();
        self.question = Some(Box::pin(async move {
            // Whatever goes wrong is told when a renewal fails.
            let later = Duration::ZERO;
            let store = CertStore::open(&acme.account_dir).map_err(|_| later)?;
            let Some(stored) = store.read(&name).map_err(|_| later)? else { return Ok(None) };
            let (directory, chain_pem) = (acme.directory.as_str(), stored.pair.chain_pem.as_str());
            let asked = RenewalQuery {
                directory,
                ca_file: acme.ca_file.as_deref(),
                chain_pem,
                time_limit: ADVICE_LIMIT,
            };
            advice(asked, &store).await.map_err(|error| error.wait())
        }));
    }

    fn write(&mut self, status: &Status) {
        let trouble = status.alarm.clone().or_else(|| status.last_error.clone());
        if trouble != self.told {
            if let Some(trouble) = &trouble {
                log::line(self.options.lang, trouble);
            }
            self.told = trouble;
        }
        let written = Written { status: Some(status), failed: self.failed_attempts() };
        let text = serde_json::to_string(&written).map_err(|error| error.to_string());
        let path = &self.options.status;
        let written =
            text.and_then(|text| write_whole(path, &(text + "\n")).map_err(|error| with_causes(&error)));
        if let Err(error) = written {
            log::line(self.options.lang, error);
        }
    }

    /// Attempts in a row that failed, of this keeper or of one before it that has not been looked at yet.
    fn failed_attempts(&self) -> Option<Failed> {
        let failed = self.file.as_ref().zip(self.machine.failed());
        let failed = failed.map(|(file, (times, at, missed))| Failed::new(file, times, at, &missed));
        failed.or_else(|| self.failed.clone())
    }

    /// Leaves nothing of the status behind but what the next keeper has to know. Nobody is left to be told that this fails.
    fn leave(&self) {
        let path = &self.options.status;
        let _ = nix::unistd::unlink(path);
        if let failed @ Some(_) = self.failed_attempts()
            && let Ok(text) = serde_json::to_string(&Written { status: None, failed })
        {
            let _ = write_whole(path, &(text + "\n"));
        }
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, longest: Duration) {
        let now = self.options.clock;
        tokio::select! {
            () = self.watch.changed() => self.machine.changed(),
            _ = self.hangup.recv() => self.machine.changed(),
            () = closed(&mut self.link) => {
                self.link = None;
                self.machine.disconnected();
            }
            result = ended(&mut self.issuance) => {
                self.issuance = None;
                self.machine.issued(result, now(), random());
            }
            said = ended(&mut self.question) => {
                self.question = None;
                self.machine.advised(said, now(), random());
            }
            () = sleep(longest) => {}
        }
        self.machine.woken(now());
    }
}

async fn closed(link: &mut Option<Control>) {
    match link {
        Some(link) => link.closed().await,
        None => std::future::pending().await,
    }
}

async fn ended<T>(work: &mut Option<Pin<Box<dyn Future<Output = T>>>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness renewals are only not spread.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests;
