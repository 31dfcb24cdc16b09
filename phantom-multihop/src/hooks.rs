//! What the monitor has done for it, since only the whole program knows what all modules want of the host.

use phantom_engine::{Hook, HookArguments, HookError};

use crate::errand::{self, Turn};
use crate::replace::{attempt, turn};

pub(crate) const HOOKS: &[Hook] = &[
    Hook {
        verb: "turn",
        arguments: HookArguments::Required,
        run: |engine, call, words| {
            let order = Turn::read(words).ok_or(HookError::Usage)?;
            turn(engine, call, &order).map_err(HookError::action)
        },
    },
    Hook {
        verb: "try",
        arguments: HookArguments::Required,
        run: |engine, call, exit| {
            let exit = exit.parse().map_err(|_| HookError::Usage)?;
            attempt(engine, call, &exit).map_err(HookError::action)
        },
    },
    Hook {
        verb: errand::VERB,
        arguments: HookArguments::None,
        run: |engine, call, _| errand::serve(engine, call),
    },
];
