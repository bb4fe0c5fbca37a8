//! Signals that whoever started the program wants it to ignore: ctrl-c in a shell's background, the
//! end of a terminal under `nohup`.
//!
//! They stay ignored, and are no reason not to heed the signal that asks a process to terminate. One
//! call takes a handler for all of them, so those that are ignored are blocked instead, in the thread
//! that starts the job and all that come of it.

/// Whether any signal that would stop a job is ignored, and has been blocked.
#[derive(Clone, Copy)]
pub(super) struct Ignored(bool);

impl Ignored {
    /// Looks for them, and blocks them. To be called before other threads are started.
    pub(super) fn find() -> Self {
        Ignored(block_ignored())
    }

    pub(super) fn is_any(self) -> bool {
        self.0
    }
}

/// Where the system tells which signals are ignored.
#[cfg(target_os = "linux")]
fn block_ignored() -> bool {
    use nix::sys::signal::{SigSet, Signal};

    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (ignored, caught) = (mask(&status, "SigIgn:"), mask(&status, "SigCgt:"));
    let is_in = |mask: u64, signal: Signal| mask >> (signal as u32 - 1) & 1 == 1;
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    if signals.iter().any(|signal| is_in(caught, *signal)) {
        return false; // the program has a handler of its own
    }
    let signals = signals.into_iter().filter(|signal| is_in(ignored, *signal));
    let blocked: SigSet = signals.collect();
    blocked.iter().next().is_some() && blocked.thread_block().is_ok()
}

/// Elsewhere a signal that is ignored is taken for one that the program handles itself.
#[cfg(not(target_os = "linux"))]
fn block_ignored() -> bool {
    false
}

/// A mask of signals in what the system says of a process.
#[cfg(target_os = "linux")]
fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tjob\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001002\n";
        assert_eq!((mask(status, "SigIgn:"), mask("", "SigIgn:")), (0x1002, 0));
    }
}
