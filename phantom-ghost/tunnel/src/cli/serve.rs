//! `phantom-ghost serve`: the tunnel server as a service.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Uid;
use phantom_types::{Lang, Text};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{failed, say, usage};
use crate::control::{ControlServer, with_causes};
use crate::limits::Limits;
use crate::log;
use crate::notify::{READY, STOPPING, notify};
use crate::privilege;
use crate::pump::rest_while_much_comes;
use crate::server::{BindError, Handle, Listen, Server, ServerBuilder};

const HELP: Text = Text {
    en: "\
usage: phantom-ghost serve --control PATH [--listen ADDRESS:PORT | --listen unix:PATH]... [--group GROUP]

Serves a web site to every stranger and tunnels to WireGuard to those who know a secret.
It has no configuration of its own: secrets, certificate and site come over its control socket.

  --control PATH   the control socket; root and this process's own user are heard there
  --listen WHERE   TLS at an address and port, or plain HTTP at a socket for a web server in front
                   (default: port 443 of all addresses, IPv6 and IPv4); may be given more than once
  --group GROUP    only this group may connect to such a socket. Root gives it to the group here; another user
                   makes it so that root can give it (`phantom-ghost share`)
",
    tr: "\
kullanım: phantom-ghost serve --control YOL [--listen ADRES:PORT | --listen unix:YOL]... [--group GRUP]

Her yabancıya bir web sitesi sunar, gizli anahtarı bilenlere WireGuard'a tünel açar.
Kendi yapılandırması yoktur: gizli anahtarlar, sertifika ve site denetim soketinden gelir.

  --control YOL    denetim soketi; orada root ve bu işlemin kendi kullanıcısı dinlenir
  --listen YER     bir adres ve portta TLS veya öndeki bir web sunucusu için bir sokette düz HTTP
                   (varsayılan: tüm adreslerin 443 portu, IPv6 ve IPv4); birden çok kez verilebilir
  --group GRUP     böyle bir sokete yalnızca bu grup bağlanabilir. Root soketi gruba burada verir; başka bir
                   kullanıcı soketi root'un verebileceği biçimde oluşturur (`phantom-ghost share`)
",
};

/// The kernel's own soft limit of descriptors.
const USUAL_DESCRIPTORS: u64 = 1024;
/// The port where nothing else is said.
const PORT: u16 = 443;

struct Arguments {
    control: PathBuf,
    listen: Vec<Listen>,
    group: Option<String>,
}

/// Runs the verb until SIGTERM or SIGINT.
pub fn run(arguments: Vec<String>, lang: Lang) -> ExitCode {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        return say(HELP.get(lang));
    }
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(problem) => return usage(problem, lang),
    };
    if privilege::user_to_become().is_some()
        && let Err(error) = privilege::renounce_more()
    {
        return failed(format_args!("the rights of other programs cannot be renounced: {error}"), lang);
    }
    let limits = Limits::for_descriptors(raise_descriptor_limit());
    let mut runtime = runtime::Builder::new_multi_thread();
    let runtime = match runtime.on_thread_park(rest_while_much_comes).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format_args!("the runtime could not be started: {error}"), lang),
    };
    match runtime.block_on(serve(arguments, &limits, lang)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error, lang),
    }
}

fn parse(arguments: Vec<String>) -> Result<Arguments, String> {
    let (mut control, mut listen, mut group) = (None, Vec::new(), None);
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, rest.next()),
        };
        if !matches!(name.as_str(), "--control" | "--listen" | "--group") {
            return Err(format!("unknown option {name:?}"));
        }
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        if name == "--listen" {
            listen.push(value.parse().map_err(|_| format!("{value:?} is no address to listen at"))?);
        } else if name == "--group" {
            if group.replace(value).is_some() {
                return Err("--group is given twice".to_owned());
            }
        } else if control.replace(PathBuf::from(value)).is_some() {
            return Err("--control is given twice".to_owned());
        }
    }
    Ok(Arguments { control: control.ok_or("--control is missing")?, listen, group })
}

async fn serve(arguments: Arguments, limits: &Limits, lang: Lang) -> Result<(), String> {
    let (group, user) = (arguments.group.as_deref(), privilege::user_to_become());
    let server =
        bind(&arguments.listen, group.is_some(), user, limits, lang).map_err(|error| with_causes(&error))?;
    if let Some(group) = group.filter(|_| Uid::effective().is_root()) {
        share(&arguments.listen, user, group)?;
    }
    let handle = server.handle();
    let control = privilege::make_folder_of(&arguments.control, user)
        .and_then(|()| ControlServer::bind(&arguments.control, handle.clone()))
        .map_err(|error| format!("cannot listen at {}: {error}", arguments.control.display()))?;
    let ended = ended().map_err(|error| format!("signals cannot be waited for: {error}"))?;
    let places: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let own = sockets(&arguments.listen).map(|path| path.display().to_string());
    let places: Vec<String> = places.into_iter().chain(own).collect();
    log::line(lang, format_args!("listening at {}", places.join(", ")));
    // Ready to be configured: the keeper, which is started after this, waits for it. Nobody is served before.
    notify(READY);
    if let Some(user) = user {
        privilege::become_user(user).map_err(|error| format!("cannot become the user {user}: {error}"))?;
    }
    tokio::spawn(control.run());
    tokio::spawn(announce(handle.clone(), lang));
    server
        .run(async {
            ended.await;
            notify(STOPPING);
            log::line(lang, "ending");
        })
        .await;
    let _ = nix::unistd::unlink(&arguments.control);
    for path in sockets(&arguments.listen) {
        let _ = nix::unistd::unlink(path);
    }
    Ok(())
}

/// The sockets in the file system.
fn sockets(listen: &[Listen]) -> impl Iterator<Item = &Path> {
    listen.iter().filter_map(|place| match place {
        Listen::Unix(path) => Some(path.as_path()),
        Listen::Tcp(_) => None,
    })
}

/// Gives each socket in the file system to the user that this process is to become, and lets a group connect to it.
fn share(listen: &[Listen], user: Option<Uid>, group: &str) -> Result<(), String> {
    for path in sockets(listen) {
        let owned = || user.map_or(Ok(()), |user| privilege::give(path, user));
        let shared = owned().and_then(|()| privilege::share(path, privilege::group(group)?));
        shared
            .map_err(|error| format!("{} cannot be given to the group {group}: {error}", path.display()))?;
    }
    Ok(())
}

/// The places that were given; without any, all addresses of the machine. `for_group`: nobody but a group is to connect to sockets in
/// the file system, whose folder is `owner`'s.
fn bind(
    listen: &[Listen],
    for_group: bool,
    owner: Option<Uid>,
    limits: &Limits,
    lang: Lang,
) -> Result<Server, BindError> {
    let builder = |places: &[Listen]| {
        let mode = if for_group { 0o660 } else { 0o666 };
        let first = Server::builder().limits(limits.clone()).socket_mode(mode).lang(lang);
        places.iter().cloned().fold(first, ServerBuilder::listen)
    };
    for place in listen {
        if let Listen::Unix(path) = place {
            let made = if for_group {
                privilege::make_folder_of(path, owner)
            } else {
                privilege::make_passable_folder_of(path)
            };
            made.map_err(|source| BindError::Listen { listen: place.clone(), source })?;
        }
    }
    if !listen.is_empty() {
        return builder(listen).bind();
    }
    match builder(&[Listen::Tcp((Ipv6Addr::UNSPECIFIED, PORT).into())]).bind() {
        // The machine has no IPv6.
        Err(BindError::Listen { source, .. }) if is_without_ipv6(&source) => {
            builder(&[Listen::Tcp((Ipv4Addr::UNSPECIFIED, PORT).into())]).bind()
        }
        bound => bound,
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(libc::EAFNOSUPPORT) || code == Some(libc::EADDRNOTAVAIL)
}

/// Writes down when the server is configured.
async fn announce(handle: Handle, lang: Lang) {
    handle.configured().await;
    log::line(lang, "configured");
}

/// Resolves when the service is told to end.
fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A tunnel takes two descriptors; the usual soft limit of 1024 is meant for programs that use `select(2)`. How many there
/// may be now.
fn raise_descriptor_limit() -> u64 {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    getrlimit(Resource::RLIMIT_NOFILE).map_or(USUAL_DESCRIPTORS, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, String> {
        parse(arguments.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn arguments_in_both_forms() {
        let arguments =
            parsed(&["--listen", "[::]:443", "--control=/run/c", "--listen=unix:/run/l", "--group", "web"])
                .unwrap();
        assert_eq!(arguments.group.as_deref(), Some("web"));
        assert_eq!(arguments.control, PathBuf::from("/run/c"));
        assert_eq!(arguments.listen, ["[::]:443".parse().unwrap(), Listen::Unix("/run/l".into())]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (arguments, problem) in [
            (&[][..], "--control is missing"),
            (&["--control"], "--control needs a value"),
            (&["--control", "a", "--control", "b"], "--control is given twice"),
            (&["--control", "a", "--group", "b", "--group=c"], "--group is given twice"),
            (&["--control", "a", "--listen", "here"], "\"here\" is no address to listen at"),
            (&["--secret", "x"], "unknown option \"--secret\""),
        ] {
            assert_eq!(parsed(arguments).err().unwrap(), problem);
        }
    }
}
