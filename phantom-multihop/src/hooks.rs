//! What the monitor has done for it, since only the whole program knows what all modules want of the host.

use phantom_engine::{HookArguments, HookError, ServiceHook};

use crate::errand::{self, Turn};
use crate::failover::{failover, probe_exit};

pub(crate) const HOOKS: &[ServiceHook] = &[
    ServiceHook {
        verb: "turn",
        arguments: HookArguments::Required,
        run: |engine, call, words| {
            let order = Turn::read(words).ok_or(HookError::Usage)?;
            failover(engine, call, &order).map_err(HookError::action)
        },
    },
    ServiceHook {
        verb: "try",
        arguments: HookArguments::Required,
        run: |engine, call, exit| {
            let exit = exit.parse().map_err(|_| HookError::Usage)?;
            probe_exit(engine, call, &exit).map_err(HookError::action)
        },
    },
    ServiceHook {
        verb: errand::VERB,
        arguments: HookArguments::None,
        run: |engine, call, _| errand::serve(engine, call),
    },
];
