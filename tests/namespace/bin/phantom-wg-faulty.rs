//! `phantom-wg` with a module that panics: in its work, and where its table is read to make a form.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use phantom_api::{
    Answer, Call, Effect, Failure, Host, Module, Params, Paths, Phantom, Programs, Spec, Store, Text,
    linux_options,
};
use phantom_cli::shell::{self, Environment};

struct Faults;

impl Module for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }
    fn summary(&self) -> Text {
        Text { en: "Faults", tr: "Hatalar" }
    }
    fn specs(&self) -> Vec<Spec> {
        let empty = || schemars::json_schema!({ "type": "object" });
        let work = Spec {
            name: "work",
            summary: Text { en: "The work panics", tr: "İş çöker" },
            effect: Effect::Read,
            example: "",
            errors: &[],
            needs_setup: false,
            params: empty,
            output: empty,
        };
        let screen = Spec {
            name: "screen",
            summary: Text { en: "The screen panics", tr: "Ekran çöker" },
            params: || panic!("where the screen is drawn"),
            ..work
        };
        vec![work, screen]
    }
    fn execute(&self, _: &str, _: Params, _: &Call) -> Result<Answer, Failure> {
        panic!("where the work is done")
    }
}

fn main() -> ExitCode {
    ExitCode::from(shell::main(std::env::args_os().skip(1), &Environment::of_process(), open))
}

fn open(root: Option<PathBuf>) -> Phantom {
    let paths = root.map_or_else(Paths::default, Paths::new);
    let exe = std::env::current_exe().expect("procfs is mounted");
    let programs = Programs::in_dir(exe.parent().expect("a program is in a directory"));
    let host = Host::linux(linux_options(&paths, programs));
    let builder = Phantom::builder(host, Store::new(paths)).all_modules().with(Arc::new(Faults));
    builder.build().expect("the modules have different names")
}
