//! What is in the place of something of ours: a file of ours that has lost its tag, or an object of somebody else.

use std::path::Path;

use phantom_host::HostError;
use phantom_host::reconcile::{Coverage, DesiredState, Foreign, Step};
use phantom_module::{Call, Lang};
use phantom_types::Said;
use zeroize::Zeroizing;

use crate::change::host_error;
use crate::{Engine, EngineError};

/// The steps that the host needs, and what none is taken for.
pub(crate) struct Planned {
    pub(crate) steps: Vec<Step>,
    /// What is of somebody else in the place of ours.
    pub(crate) foreign: Vec<Foreign>,
}

impl Engine {
    /// Keeps a copy of each file that a step writes over although somebody else wrote it last.
    pub(crate) fn keep_replaced(&self, operation: &'static str, steps: &[Step]) -> Result<(), EngineError> {
        for path in steps.iter().filter_map(Step::replaces) {
            let failed = |error| host_error(operation, error);
            let Some(content) = self.host.files.read(path).map_err(failed)?.map(Zeroizing::new) else {
                continue;
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kept = self.store.keep_file(&name, &content, self.host.clock.now())?;
            self.log(&format!(
                "{} had lost its mark; it was copied to {}",
                path.display(),
                kept.path.display()
            ));
        }
        Ok(())
    }

    /// Refuses a change that has to put something of ours where something of somebody else is. What was in such a place
    /// before the change stays as it is, and is in nobody's way.
    pub(crate) fn refuse_foreign(
        &self,
        operation: &'static str,
        foreign: &[Foreign],
    ) -> Result<(), EngineError> {
        if foreign.is_empty() {
            return Ok(());
        }
        let before = self.store.read(|state| self.desired(state, Coverage::WithoutPeers))?;
        let new = foreign.iter().find(|object| match object {
            Foreign::File(path) => !is_wanted(&before, path),
            Foreign::Route(_) => before.routes.is_empty(),
        });
        new.map_or(Ok(()), |object| {
            Err(host_error(operation, HostError::Foreign { object: object.to_string() }))
        })
    }

    /// Says what stays in the place of something of ours.
    pub(crate) fn report_foreign(&self, call: &Call, foreign: &[Foreign]) {
        for object in foreign {
            self.say(call, &Said::new(left_alone(object, Lang::En), left_alone(object, Lang::Tr)));
        }
    }
}

/// Whether something of ours belongs at this path.
fn is_wanted(wanted: &DesiredState, path: &Path) -> bool {
    let of_interfaces = wanted.interfaces.values().map(|interface| &interface.unit);
    let mut units = of_interfaces.chain(wanted.units.values().map(|(unit, _)| unit));
    wanted.files.get(path).is_some_and(Option::is_some)
        || wanted.kept_files.contains(path)
        || units.any(|unit| path.file_stem() == Some(unit.name.as_ref()))
}

/// That an object is not ours and stays, with the command that makes room for ours.
fn left_alone(object: &Foreign, lang: Lang) -> String {
    let (name, command) = (foreign_name(object, lang), make_room(object));
    match lang {
        Lang::En => format!(
            "{name} does not belong to this system and was left as it is. To put ours in its place: {command}"
        ),
        Lang::Tr => format!(
            "{name} bu sisteme ait değil; olduğu gibi bırakıldı. Yerine bizimkini koymak için: {command}"
        ),
    }
}

/// How a person knows an object of somebody else: a file by its path.
pub fn foreign_name(object: &Foreign, lang: Lang) -> String {
    match (object, lang) {
        (Foreign::Route(route), Lang::Tr) => {
            format!("{} tablosundaki {} rotası (metric {})", route.table, route.destination, route.metric)
        }
        (object, _) => object.to_string(),
    }
}

/// The command that moves an object away and puts ours in its place.
pub fn make_room(object: &Foreign) -> String {
    match object {
        Foreign::File(path) => {
            let path = path.display();
            format!("mv {path} {path}.old && phantom-api core reconcile")
        }
        Foreign::Route(route) => {
            let family = if route.destination.is_ipv6() { "-6 " } else { "" };
            let (destination, table, metric) = (route.destination, route.table, route.metric);
            format!(
                "ip {family}route del {destination} table {table} metric {metric} && phantom-api core reconcile"
            )
        }
    }
}
