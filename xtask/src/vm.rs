//! `vm`: Debian servers with their own kernel, restored from a frozen boot in about a second.
//!
//! Only Debian packages are used, no KVM and no network: a machine sees one card behind which nothing but its gateway
//! answers. The images lie outside the tree, in `/var/tmp/phantom-wg-lab` or where `PHANTOM_LAB` says.

pub(crate) mod image;
pub(crate) mod machine;
mod qmp;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::problem::{Context as _, Problem, Result};
use crate::words::Words;
use machine::{Job, Kind};

/// A release of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        })
    }
}

impl FromStr for Suite {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bookworm" => Ok(Self::Bookworm),
            "trixie" => Ok(Self::Trixie),
            _ => Err(Problem::new(format!("'{text}' is no release known here: bookworm, trixie"))),
        }
    }
}

pub(crate) fn run(mut words: Words) -> Result<bool> {
    let task = words.next_word().unwrap_or_default();
    let suite = words.value("--suite")?.map_or(Ok(Suite::Bookworm), |name| name.parse())?;
    match task.as_str() {
        "build" => {
            words.end()?;
            image::ensure(suite)?;
            println!("The image of {suite} is ready in {}", image::dir(suite).display());
            Ok(true)
        }
        "run" => {
            let kind = words.value("--image")?.map_or(Ok(Kind::Full), |name| name.parse())?;
            let copy = words.value("--copy")?.map(PathBuf::from);
            let output = words.value("--output")?.map(PathBuf::from);
            let seconds = words.value("--time")?.map_or(Ok(600), |text| text.parse());
            let command = words.after().context("what is to be run stands after --")?.join(" ");
            words.end()?;
            image::ensure(suite)?;
            let limit = Duration::from_secs(seconds.context("--time")?);
            let job = Job { suite, kind, files: copy, command, output, limit };
            let status = machine::run(&job, |line| println!("{line}"))?;
            if status != 0 {
                eprintln!("status {status}");
            }
            Ok(status == 0)
        }
        _ => Err(Problem::new("vm build, or vm run -- CMD")),
    }
}
