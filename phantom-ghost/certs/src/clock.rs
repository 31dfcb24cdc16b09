//! The clock of this machine.

use std::time::SystemTime;

use phantom_types::Timestamp;

/// The time of this machine's clock. Everything else in the crate is told the time.
pub fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tunnel's programs depend on no host crate; this is their clock"
    )]
    let now = SystemTime::now();
    now.into()
}
