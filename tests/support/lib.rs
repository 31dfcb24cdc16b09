//! What the tests share: a server on the host in memory with its files on the disk, answers and how they compare,
//! dumps of host and database, the texts of both languages, and the real programs.
#![expect(clippy::disallowed_methods, reason = "tests start processes and write files of their own")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::missing_panics_doc, reason = "every helper panics where the test should fail")]

mod answer;
mod compare;
mod database;
mod disk;
mod document;
mod english;
mod golden;
mod program;
mod screen;
mod server;
mod snapshot;
mod text;
mod trace;

pub use answer::Answer;
pub use compare::{differences, redact};
pub use database::{dump_database, dump_tree};
pub use disk::OnDisk;
pub use document::{Block, Document, calls, repository};
pub use english::english;
pub use golden::{golden_dir, read_golden, read_golden_json, same_as_golden};
pub use program::{Program, Run, is_root, programs, skip};
pub use screen::{Spot, read_qr};
pub use server::{SERVER_IP, Server};
pub use snapshot::Snapshot;
pub use text::{Said, Template, Texts};
pub use trace::{Call, calls_of_trace};
