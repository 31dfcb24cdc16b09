//! Words that the tests share.

use ipnetwork::IpNetwork;
use phantom_host::HostError;
use phantom_types::InterfaceName;

pub(crate) const EEXIST: i32 = 17;
/// Table of the exit and priority of its rule.
pub(crate) const EXIT: u32 = 100;

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

pub(crate) fn net(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

/// The kernel's error number of a refusal.
pub(crate) fn errno(error: HostError) -> i32 {
    match error {
        HostError::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("not the kernel's refusal: {other:?}"),
    }
}
