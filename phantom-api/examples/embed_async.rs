//! Embeds the modules in an asynchronous program: the calls are short and synchronous, so they run as blocking tasks.
//!
//! `cargo run -p phantom-api --example embed_async --features fake`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use phantom_api::{Call, Host, Lang, Params, Paths, Phantom, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (host, _) = Host::fake();
    let paths = Paths::with_run_dir(dir.path().join("phantom"), dir.path().join("run"));
    let phantom = Phantom::builder(host, Store::new(paths)).all_modules().build()?;
    let phantom = Arc::new(phantom);

    execute(&phantom, "core", "setup", &[("server_ip", "203.0.113.5")]).await?;
    // Several at once: the lock gives every one its own address.
    let adds = (1..=5).map(|n| {
        let phantom = phantom.clone();
        tokio::spawn(async move {
            execute(&phantom, "core", "add_client", &[("client_name", &format!("client-{n}"))]).await
        })
    });
    for add in adds.collect::<Vec<_>>() {
        let answer = add.await??;
        println!("{} has {}", answer["client"]["name"], answer["client"]["ip"]);
    }
    Ok(())
}

/// Runs an action by name on a thread where it may block.
async fn execute(
    phantom: &Arc<Phantom>,
    module: &'static str,
    action: &'static str,
    words: &[(&str, &str)],
) -> Result<serde_json::Value, String> {
    let phantom = phantom.clone();
    let params = Params::from_words(words.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    let call = Call::new(Lang::En);
    let done = tokio::task::spawn_blocking(move || {
        phantom.execute(module, action, params, &call).map(|a| a.to_value())
    });
    done.await.map_err(|error| error.to_string())?.map_err(|failure| failure.message(Lang::En))
}
