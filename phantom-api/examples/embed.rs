//! Embeds the server's modules in a program: a client is added and exported, typed all the way.
//!
//! It runs on the in-memory host, so you can try it anywhere: `cargo run -p phantom-api --example embed
//! --features fake`. On a real server, use `Host::linux` instead.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use phantom_api::{Call, Host, Lang, Paths, Phantom, Store, TypedModule as _};
use phantom_core::Core;
use phantom_core::actions::{AddClient, ExportClient, Setup};
use phantom_dns::Dns;
use phantom_dns::actions::ChangeServers;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (host, _) = Host::fake();
    let paths = Paths::with_run_dir(dir.path().join("phantom"), dir.path().join("run"));
    let phantom = Phantom::builder(host, Store::new(paths)).all_modules().build()?;

    let call = Call::new(Lang::En);
    let core = phantom.module::<Core>().ok_or("the module is registered")?;
    let dns = phantom.module::<Dns>().ok_or("the module is registered")?;

    core.call(Setup { server_ip: Some("203.0.113.5".parse()?), ..Setup::default() }, &call)?;
    dns.call(ChangeServers { primary: Some("9.9.9.9".parse()?), secondary: None }, &call)?;
    let added = core.call(AddClient { client_name: "john-laptop".parse()? }, &call)?;
    let exported =
        core.call(ExportClient { client_name: added.client.name.to_string(), use_ipv6: false }, &call)?;

    println!("{} has {}", added.client.name, added.client.ip);
    println!("{}", exported.config.0.lines().find(|line| line.starts_with("DNS")).unwrap_or_default());
    Ok(())
}
