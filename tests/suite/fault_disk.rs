//! Does what was told survive power cuts, a disk that breaks, and a disk that fills, on a real file system?
//!
//! `cargo test -p tests --features fault-disk --test suite fault_disk -- --test-threads 1`, as root, with
//! /dev/fuse, loop devices and mkfs.ext4. `HASHPIT_FAULT_ROUNDS=50` for the long version (default 4),
//! `HASHPIT_FAULT_SEED` for other sectors and moments. What the machine does not permit says "skipped" and why.

#[cfg(feature = "fault-disk")]
mod faults;

/// Stands in the list of tests where the real ones are not built, so that nobody takes them for passed.
#[cfg(not(feature = "fault-disk"))]
#[test]
#[ignore = "skipped: build with --features fault-disk; needs root, /dev/fuse, loop devices, mkfs.ext4"]
fn power_cuts_breaking_and_full_disks() {
    panic!("not built: use --features fault-disk");
}
