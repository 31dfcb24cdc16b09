//! What the monitor has done for it, since only the whole program knows what all modules want of the host.

use phantom_engine::{Engine, Hook, HookError};
use phantom_module::Call;
use phantom_types::ExitName;

use crate::MultihopError;
use crate::replace::{attempt, turn};

pub(crate) const HOOKS: &[Hook] = &[
    Hook { verb: "turn", run: |engine, call, exit| hook(turn, engine, call, exit) },
    Hook { verb: "try", run: |engine, call, exit| hook(attempt, engine, call, exit) },
];

fn hook(
    work: fn(&Engine, &Call, &ExitName) -> Result<(), MultihopError>,
    engine: &Engine,
    call: &Call,
    exit: &str,
) -> Result<(), HookError> {
    let exit = exit.parse().map_err(|_| HookError::Usage)?;
    work(engine, call, &exit).map_err(HookError::failed)
}
