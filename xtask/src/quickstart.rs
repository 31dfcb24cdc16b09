//! placeholder
use crate::problem::Result; use crate::words::Words;
pub(crate) const CLIENT_SIDE: &str = "quickstart-client";
pub(crate) const INTERNET_SIDE: &str = "quickstart-internet";
pub(crate) fn run(_: Words) -> Result<bool> { Ok(true) }
pub(crate) fn client_side() -> Result<bool> { Ok(true) }
pub(crate) fn internet_side(_: Words) -> Result<bool> { Ok(true) }
