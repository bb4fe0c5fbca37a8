//! What a run takes of the machine, as far as the operating system says.
//!
//! Both numbers are of the whole process: what else the program does meanwhile counts, too. Memory
//! that an allocator keeps from one run is there in the next.

use std::time::Duration;

/// The processor time of all threads since the process began.
#[cfg(unix)]
pub(super) fn cpu() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    Some(time.into())
}

/// The processor time; not known here.
#[cfg(not(unix))]
pub(super) fn cpu() -> Option<Duration> {
    None
}

/// Begins to watch for the peak of memory anew. Tells whether that is possible.
pub(super) fn watch_memory() -> bool {
    cfg!(target_os = "linux") && std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory that was resident since it was last watched for, in bytes.
pub(super) fn memory_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
