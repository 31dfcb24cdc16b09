//! `phantom-reset`: brings the host to what it was before the server, by the marks that its objects carry.
//!
//! The stored state is read for two things only, the name of the interface and the kernel setting as it was before;
//! when it cannot be read, the rest is done all the same. Prints a line for each step. Ends with status 1 when something
//! was left standing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person at the terminal")]

use std::path::Path;
use std::process::ExitCode;

use phantom_host::linux::LinuxOptions;
use phantom_host::reconcile::{Scene, Step, StepAction, Wanted, apply, observe, plan};
use phantom_host::{Host, Marks, Programs};
use phantom_store::{Paths, Server, Store, StoreError};

/// The kernel setting that the server switches on.
const IP_FORWARD: &str = "net.ipv4.ip_forward";

fn main() -> ExitCode {
    let paths = Paths::default();
    let marks = Marks::new(paths.instance());
    let host = Host::linux(LinuxOptions {
        run_dir: paths.run_dir().to_path_buf(),
        logs_dir: paths.logs_dir(),
        marks: marks.clone(),
        programs: Programs::in_dir("/usr/local/bin"),
    });
    let server = Store::new(paths.clone()).read::<_, StoreError>(phantom_store::State::server);
    let server = server.unwrap_or_else(|error| {
        eprintln!("the stored state cannot be read ({error}): going by the marks alone");
        None
    });
    let wanted = nothing(&marks, server.as_ref());
    let scene = Scene { host: &host, marks: &marks, run_dir: paths.run_dir() };
    // A step can bring others to light: a service that ends takes its link along.
    for _ in 0..3 {
        match round(&scene, &wanted) {
            Ok(true) => return ExitCode::SUCCESS,
            Ok(false) => {}
            Err(problem) => {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("something of ours comes back as soon as it is removed");
    ExitCode::FAILURE
}

/// Nothing of ours: no objects, no files, and the kernel setting as it was.
fn nothing(marks: &Marks, server: Option<&Server>) -> Wanted {
    let mut wanted = Wanted::nothing();
    let interface = server.map_or_else(|| "wg_main".to_owned(), |server| server.interface.to_string());
    let text = marks.text();
    let files = [
        format!("/etc/wireguard/{interface}.conf"),
        format!("/etc/sysctl.d/90-{text}.conf"),
        format!("/etc/iproute2/rt_tables.d/{text}.conf"),
        format!("/etc/systemd/network/90-{text}_vpn.network"),
    ];
    wanted.files.extend(files.into_iter().map(|path| (path.into(), None)));
    if let Some(before) = server.and_then(|server| server.ip_forward_before.clone()) {
        wanted.sysctls.insert(IP_FORWARD.to_owned(), before);
    }
    wanted
}

/// Observes and takes all steps; returns whether there was nothing to do.
fn round(scene: &Scene<'_>, wanted: &Wanted) -> Result<bool, String> {
    let observed = observe(scene, wanted).map_err(|error| chain(&error))?;
    let steps = plan(scene.marks, &observed, wanted).map_err(|error| chain(&error))?;
    steps.iter().for_each(say);
    apply(scene, wanted, &steps).map_err(|error| chain(&error))?;
    remove_run_dir(scene.run_dir, steps.is_empty());
    Ok(steps.is_empty())
}

fn say(step: &Step) {
    let word = match step.action {
        StepAction::Delete => "removed",
        _ => "restored",
    };
    println!("{word} {} ({:?})", step.target, step.kind);
}

/// The run directory goes last: the supervisor's process files are read there until nothing is left to stop.
fn remove_run_dir(dir: &Path, last: bool) {
    if last && dir.is_dir() {
        let _ = std::fs::remove_dir_all(dir); // it dies with the next boot at the latest
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
