//! Programs that do one thing and end, in memory: what each does is said by whoever knows it.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::FakeHost;
use crate::{HostError, Process, Processes, ProgramOutput, Result};

/// What a program does.
type Program = Arc<dyn Fn(&FakeHost, &Process) -> Result<ProgramOutput> + Send + Sync>;

/// The programs that the host has, by name, and what those who gave them to it keep with it.
#[derive(Default)]
pub(super) struct Given {
    programs: BTreeMap<String, Program>,
    kept: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Processes for FakeHost {
    fn run(&self, process: &Process) -> Result<ProgramOutput> {
        let name = process.command.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let program = self.given().programs.get(&name).cloned();
        let Some(program) = program else {
            let what = format!("starting {}", process.command.program.display());
            return Err(HostError::io(what, io::Error::from(io::ErrorKind::NotFound)));
        };
        program(self, process)
    }
}

impl FakeHost {
    /// Gives the host a program of this name, in whichever folder it is asked for. Until then there is none.
    pub fn give_program(
        &self,
        name: &str,
        does: impl Fn(&Self, &Process) -> Result<ProgramOutput> + Send + Sync + 'static,
    ) {
        self.given().programs.insert(name.to_owned(), Arc::new(does));
    }

    /// The value of this type that is kept with the host: made by the first who asks, the same for all handles, and no part of what
    /// is copied, dumped or refused. A program that was given to the host has its arrangements here.
    pub fn keep<T: Default + Send + 'static>(&self) -> Arc<Mutex<T>> {
        let mut given = self.given();
        let kept = given.kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(Mutex::new(T::default())));
        // It is kept under its own type, so that it is of that type.
        kept.clone().downcast().unwrap_or_default()
    }

    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        self.shared.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
