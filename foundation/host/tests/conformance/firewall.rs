pub(crate) fn check(_: &crate::bench::Bench) {}
