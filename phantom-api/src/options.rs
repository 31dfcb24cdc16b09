//! The Linux host of an installation.

use phantom_host::linux::LinuxOptions;
use phantom_host::{OwnershipTags, Programs};
use phantom_store::Paths;

/// What [`Host::linux`](phantom_host::Host::linux) has to know of an installation: where its run directory and its
/// logs are, its marks, and its programs.
pub fn linux_options(paths: &Paths, programs: Programs) -> LinuxOptions {
    LinuxOptions {
        run_dir: paths.run_dir().to_path_buf(),
        logs_dir: paths.logs_dir(),
        tags: OwnershipTags::new(paths.instance()),
        programs,
    }
}
