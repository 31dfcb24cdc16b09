//! placeholder
use crate::problem::Result; use crate::vm::Suite; use super::{Extent, Tally};
pub(super) fn run(_: Suite, _: Extent, _: &mut Tally) -> Result { Ok(()) }
