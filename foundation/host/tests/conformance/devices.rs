pub(crate) fn absent(_: &crate::bench::Bench) {}
pub(crate) fn embedded(_: &crate::bench::Bench) {}
