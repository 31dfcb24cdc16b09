//! The fuzz targets, each for a bounded time: what strangers, files and the kernel say must never stop a program.

use std::path::Path;

use super::Tally;
use crate::packages::{self, Need};
use crate::problem::{Context as _, Result};
use crate::workspace::{self, Artifact, cargo};

/// libFuzzer, which the crate libfuzzer-sys compiles.
const NEEDS: &[Need] = &[Need::program("c++", "g++")];
/// Seconds for each target.
const TIME: u32 = 60;
/// Largest input, and the memory and time that one input may take.
const LIMITS: [&str; 3] = ["-max_len=16384", "-rss_limit_mb=1024", "-timeout=10"];

/// The instrumentation that libFuzzer reads, as rustc passes it to LLVM: the fuzzer needs no nightly compiler that way.
const FLAGS: &str = "--cfg fuzzing -C passes=sancov-module -C codegen-units=1 -C debug-assertions \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares";

/// Builds and runs all targets. What they learn is kept beside what cargo builds, so that the next run goes on from there.
pub(super) fn run(tally: &mut Tally) -> Result {
    packages::ensure(NEEDS)?;
    let dir = workspace::target_dir()?.join("fuzz");
    for target in build(&dir)? {
        let corpus = dir.join("corpus").join(&target.target);
        std::fs::create_dir_all(&corpus).context(corpus.display())?;
        let result = fuzz(&target, &corpus, &dir);
        tally.record(&target.target, result);
    }
    Ok(())
}

fn build(dir: &Path) -> Result<Vec<Artifact>> {
    let triple = workspace::host_triple()?;
    let manifest = workspace::root().join("fuzz/Cargo.toml");
    let words = ["build", "--release", "--bins", "--target", &triple, "--manifest-path"];
    let command = cargo().env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", dir);
    workspace::build_with(&[&words[..], &[&*manifest.to_string_lossy()]].concat(), command)
}

/// A crash leaves its input beside the corpus, and the fuzzer's last lines name the file.
fn fuzz(target: &Artifact, corpus: &Path, dir: &Path) -> Result {
    let mut last = Vec::new();
    let command = crate::command::Cmd::new(&target.path)
        .args([format!("-max_total_time={TIME}"), format!("-artifact_prefix={}/", dir.display())])
        .args(LIMITS)
        .arg(corpus);
    let status = command.stream(|line| {
        last.push(line.to_owned());
        if last.len() > 40 {
            last.remove(0);
        }
    })?;
    if let Some(runs) = last.iter().rev().find(|line| line.starts_with("Done ")) {
        println!("{}: {runs}", target.target);
    }
    if status.success() {
        return Ok(());
    }
    Err(crate::problem::Problem::new(format!("{status}\n{}", last.join("\n"))))
}
