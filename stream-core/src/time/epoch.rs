//! The epoch: the engine's one timestamp, (checkpoint, batch, slice) packed into a `u64`.
//!
//! ```text
//! 63          36 35        16 15        0
//! | checkpoint  |   batch    |  slice    |
//! ```
//!
//! Epochs increase and are sparse; nobody counts them one by one. The successor of the last slice
//! of a batch is the first slice of the next batch, and likewise for checkpoints: a full field
//! carries into the next by plain addition. A carried boundary closes a batch early, which every
//! mode allows, and is no durable cut, for those are asked for by name.

const SLICE_BITS: u32 = 16;
const BATCH_BITS: u32 = 20;

/// After every slice there is: a frontier that nothing follows.
pub(crate) const FOREVER: u64 = u64::MAX;

/// The first slice of a job that was not restored.
pub(crate) const FIRST: u64 = 1 << (SLICE_BITS + BATCH_BITS);

/// The slice after this one, in the same batch.
pub(crate) const fn next_slice(epoch: u64) -> u64 {
    epoch + 1
}

/// The first slice of the next batch.
pub(crate) const fn next_batch(epoch: u64) -> u64 {
    ((epoch >> SLICE_BITS) + 1) << SLICE_BITS
}

/// The first slice of the next checkpoint.
pub(crate) const fn next_checkpoint(epoch: u64) -> u64 {
    ((epoch >> (SLICE_BITS + BATCH_BITS)) + 1) << (SLICE_BITS + BATCH_BITS)
}

/// Checkpoint, batch and slice.
#[cfg(feature = "cli")]
pub(crate) const fn parts(epoch: u64) -> (u64, u64, u64) {
    let batch = (epoch >> SLICE_BITS) & ((1 << BATCH_BITS) - 1);
    let slice = epoch & ((1 << SLICE_BITS) - 1);
    (epoch >> (SLICE_BITS + BATCH_BITS), batch, slice)
}

/// A run of epochs that an operator treats alike: what lies behind the run's end is set aside
/// until the run is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// The slices of one batch.
    Batch,
    /// The slices of one checkpoint.
    Checkpoint,
}

impl Align {
    /// The number of the run that an epoch belongs to.
    pub(crate) const fn run(self, epoch: u64) -> u64 {
        match self {
            Align::Batch => epoch >> SLICE_BITS,
            Align::Checkpoint => epoch >> (SLICE_BITS + BATCH_BITS),
        }
    }

    /// The first epoch of a run.
    pub(crate) const fn begin(self, run: u64) -> u64 {
        match self {
            Align::Batch => run << SLICE_BITS,
            Align::Checkpoint => run << (SLICE_BITS + BATCH_BITS),
        }
    }

    /// The first epoch after a run.
    pub(crate) const fn end(self, run: u64) -> u64 {
        self.begin(run + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors_increase_and_carry() {
        let last_slice = FIRST + 0xFFFF;
        assert_eq!(next_slice(last_slice), next_batch(FIRST));
        let last_batch = next_checkpoint(FIRST) - 1;
        assert_eq!(next_batch(last_batch), next_checkpoint(FIRST));
        assert_eq!(
            Align::Checkpoint.run(last_batch),
            Align::Checkpoint.run(FIRST)
        );
        assert_eq!(Align::Batch.end(Align::Batch.run(FIRST)), next_batch(FIRST));
        assert_eq!(
            Align::Checkpoint.end(Align::Checkpoint.run(FIRST)),
            next_checkpoint(FIRST)
        );
    }
}
