//! Tests of the lock between threads; tests/processes.rs has those between processes.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::testing::Fixture;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn lock_has_one_named_holder() {
    let fixture = Fixture::empty();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    let wait = Duration::from_millis(30);
    match fixture.other().lock(wait) {
        Err(LockError::Busy { waited, holder }) => {
            assert!(waited >= wait, "{waited:?}");
            assert_eq!(holder, Some(std::process::id()));
        }
        other => panic!("{other:?}"),
    }
    drop(lock);
    fixture.other().lock(Duration::ZERO).unwrap();
}

#[test]
fn number_of_a_dead_process_names_nobody() {
    let fixture = Fixture::empty();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    // Larger than the kernel's largest process number (2^22, PID_MAX_LIMIT of linux/threads.h).
    for text in ["4194305", "", "x"] {
        lock.file.set_len(0).unwrap();
        std::os::unix::fs::FileExt::write_at(&lock.file, text.as_bytes(), 0).unwrap();
        let busy = fixture.store.lock(Duration::ZERO);
        assert!(matches!(busy, Err(LockError::Busy { holder: None, .. })), "{text}: {busy:?}");
    }
}

#[test]
fn it_keeps_threads_apart() {
    let fixture = Fixture::empty();
    let (inside, turns) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let _lock = fixture.store.lock(LONG).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    turns.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(turns.into_inner(), 160);
}

#[test]
fn lock_on_a_replaced_file_is_void() {
    let fixture = Fixture::empty();
    let path = fixture.store.paths().lock();
    let stale = fixture.store.lock(Duration::ZERO).unwrap();
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    let fresh = fixture.store.lock(Duration::ZERO).unwrap();
    assert!(is_at(&fresh.file, &path) && !is_at(&stale.file, &path));
}

#[test]
fn lock_files_are_private_and_failures_reported() {
    let fixture = Fixture::empty();
    drop(fixture.store.lock(Duration::ZERO).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.store.paths().run_dir()), 0o700);
    assert_eq!(mode(&fixture.store.paths().lock()), 0o600);
    let in_a_file = Paths::with_run_dir(fixture.dir.path(), fixture.store.paths().lock().join("run"));
    assert!(matches!(Lock::acquire(&in_a_file, LONG), Err(LockError::Io { .. })));
}

#[test]
fn copied_descriptor_does_not_keep_the_lock() {
    let fixture = Fixture::empty();
    let lock = fixture.store.lock(Duration::ZERO).unwrap();
    // What a child has between its fork and its own program.
    let _inherited = lock.file.try_clone().unwrap();
    drop(lock);
    fixture.other().lock(Duration::ZERO).unwrap();
}
