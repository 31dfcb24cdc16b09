//! The process itself.

/// Keeps the memory of this process to itself: it leaves no core dump, and nobody but root may look into it. For every program
/// that reads keys, first of all. What it starts is not concerned: the kernel forgets it with the program.
pub fn close_process() {
    // The kernel refuses nothing but another number (prctl(2)).
    let _ = nix::sys::prctl::set_dumpable(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_process_leaves_no_dump() {
        close_process();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
