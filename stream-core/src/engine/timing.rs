//! Timing: when records were planned to come, and when what follows from them is through.
//!
//! *Definition.* A record is planned when its source says so ([`Planned`]), whatever the job does
//! meanwhile. It is sent in an epoch; once the frontiers of all sinks have passed that epoch, the
//! sinks have what the epoch gave. Who listens decides how far the frontier must have come, for a
//! table may withhold its rows until a batch is closed.

use std::time::Duration;

use crate::io::Planned;

/// Something that listens.
#[cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "only commands listen")
)]
pub(crate) trait Timing: Send + Sync {
    /// Hears of records that are sent in an epoch, before the epoch can be passed.
    fn sent(&self, epoch: u64, planned: Planned);

    /// Hears that every record of an earlier epoch has passed all sinks, at a time of the job's
    /// clock.
    fn passed(&self, acknowledged: u64, now: Duration);
}
