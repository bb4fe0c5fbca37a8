//! The one epoch of a process, who may cut it, and how much may be in flight.
//!
//! Every source of every worker sends in the current epoch. Whoever finds a reason to cut moves it
//! on; the others *follow*: they lower their capabilities to the new epoch, idle ones too, so that
//! the frontier never waits for a source that has nothing to say. An epoch without records is
//! cut only for a boundary, or for partitions that appear: so an idle job does nothing, and a slow one does
//! not pile up empty epochs.
//!
//! A slice is *in flight* from its cut until a worker's frontier has passed it. Sources read only
//! while the slices in flight are few and small: that is all the back-pressure there is, and all
//! that is needed, for everything downstream works on slices.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{BatchCut, Mode};
use crate::time::epoch;

/// What a slice holds at most.
pub(crate) const SLICE_RECORDS: u64 = 1 << 16;
/// What a slice holds at most, as the sources count bytes.
const SLICE_BYTES: u64 = 8 << 20;
/// How old a slice with records gets before it is cut.
const SLICE_AGE: Duration = Duration::from_millis(100);
/// How many slices may be in flight before sources wait, if they are not small.
pub(crate) const SLICES_IN_FLIGHT: usize = 8;
/// How many may be while they hold fewer than [`FEW_RECORDS`] together. Workers hand small slices to
/// each other one by one, and each hand-over takes its time: so many have to be on the way at once.
pub(crate) const SMALL_SLICES_IN_FLIGHT: usize = 128;
/// So few records in flight are no burden, in however many slices.
const FEW_RECORDS: u64 = 1_024;
/// How many bytes may be in flight before sources wait.
const BYTES_IN_FLIGHT: u64 = 32 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Epochs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    mode: Mode,
    first: u64,
    current: AtomicU64,
    /// Whether sources are to wait.
    full: AtomicBool,
    /// Whether anything was sent that is not yet through. While nothing was, nobody needs the lock.
    busy: AtomicBool,
    /// The epoch at which the sources stop; 0 while they go on.
    stop: AtomicU64,
    /// Whether all sources have ended.
    ended: AtomicBool,
    tally: Mutex<Tally>,
}

/// What has been sent since the last cuts.
#[derive(Debug, Default)]
struct Tally {
    slice: Sent,
    batch: Sent,
    /// What was cut and is not yet through: the epoch, its records and bytes.
    in_flight: VecDeque<(u64, u64, u64)>,
    records_in_flight: u64,
    bytes_in_flight: u64,
    slices: u64,
    most_in_flight: usize,
    /// How many sources have not ended, on all workers.
    open_sources: usize,
    /// The boundary that was cut last, or the first epoch.
    boundary: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    records: u64,
    bytes: u64,
    /// When the first record was sent, on the job's clock.
    since: Duration,
}

impl Sent {
    fn add(&mut self, records: u64, bytes: u64, now: Duration) {
        if self.records == 0 && records > 0 {
            self.since = now;
        }
        self.records += records;
        self.bytes += bytes;
    }
}

impl Epochs {
    /// The epochs from one on, for so many sources: an input counts on each worker that has a
    /// partition of it.
    pub(crate) fn new(mode: Mode, start: u64, sources: usize) -> Self {
        let first = start.max(epoch::FIRST);
        let tally = Tally {
            open_sources: sources,
            boundary: first,
            ..Tally::default()
        };
        Epochs(Arc::new(Shared {
            mode,
            first,
            current: AtomicU64::new(first),
            full: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            stop: AtomicU64::new(0),
            ended: AtomicBool::new(sources == 0),
            tally: Mutex::new(tally),
        }))
    }

    /// The first epoch of this run.
    pub(crate) fn first(&self) -> u64 {
        self.0.first
    }

    /// The epoch that sources send in.
    pub(crate) fn current(&self) -> u64 {
        self.0.current.load(Ordering::Acquire)
    }

    /// The epoch at which sources stop, once they are to.
    pub(crate) fn stop(&self) -> Option<u64> {
        match self.0.stop.load(Ordering::Acquire) {
            0 => None,
            stop => Some(stop),
        }
    }

    /// Whether sources may read.
    pub(crate) fn has_room(&self) -> bool {
        !self.0.full.load(Ordering::Acquire)
    }

    /// How many records a source may read for the open slice, and the open batch.
    pub(crate) fn room(&self) -> u64 {
        let tally = self.tally();
        let slice = SLICE_RECORDS.saturating_sub(tally.slice.records);
        match self.0.mode {
            Mode::PerRecordStrict => 1,
            Mode::MicroBatch(BatchCut {
                records: Some(records),
                ..
            }) => slice.min(records.saturating_sub(tally.batch.records)),
            _ => slice,
        }
    }

    /// Notes what a source has sent in the current epoch, and cuts if there is reason to.
    pub(crate) fn sent(&self, records: u64, bytes: u64, now: Duration, acknowledged: u64) {
        let mut tally = self.tally();
        tally.slice.add(records, bytes, now);
        tally.batch.add(records, bytes, now);
        self.cut_if_due(&mut tally, now, acknowledged);
    }

    /// Takes an epoch for one source alone, which sends one slice in it; none other does. There is
    /// none once the job is stopped, for the epoch is the boundary then: the slice goes into the
    /// epoch that the source was in.
    pub(crate) fn claim(
        &self,
        records: u64,
        bytes: u64,
        now: Duration,
        acknowledged: u64,
    ) -> Option<u64> {
        let mut tally = self.tally();
        if self.stop().is_some() {
            return None;
        }
        tally.slice.add(records, bytes, now);
        let claimed = self.current();
        self.settle(&mut tally, acknowledged);
        self.cut(&mut tally, epoch::next_batch(claimed));
        Some(claimed)
    }

    /// Notes how far this worker's frontier has come, and cuts what has become due meanwhile.
    pub(crate) fn tick(&self, now: Duration, acknowledged: u64) {
        if self.0.busy.load(Ordering::Acquire) {
            self.cut_if_due(&mut self.tally(), now, acknowledged);
        }
    }

    /// Notes that a source has ended. Tells whether all have.
    pub(crate) fn source_ended(&self) -> bool {
        let mut tally = self.tally();
        tally.open_sources = tally.open_sources.saturating_sub(1);
        let have_all = tally.open_sources == 0;
        self.0.ended.store(have_all, Ordering::Release);
        have_all
    }

    /// Whether all sources have ended. No boundary comes then any more.
    pub(crate) fn have_all_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// Moves the epoch to the next checkpoint; `ask` is told the boundary before anything can be sent
    /// there. Does nothing where all sources have ended or are to stop, or have sent nothing since the
    /// boundary before.
    pub(crate) fn cut_checkpoint(&self, ask: impl FnOnce(u64)) {
        let mut tally = self.tally();
        if tally.slice.records > 0 || self.current() != tally.boundary {
            self.cut_boundary(&mut tally, ask);
        }
    }

    /// The same whatever was sent, and the sources stop there.
    pub(crate) fn cut_to_stop(&self, ask: impl FnOnce(u64)) {
        self.cut_boundary(&mut self.tally(), |boundary| {
            ask(boundary);
            self.0.stop.store(boundary, Ordering::Release);
        });
    }

    fn cut_boundary(&self, tally: &mut Tally, ask: impl FnOnce(u64)) {
        if self.stop().is_none() && !self.have_all_ended() {
            let boundary = epoch::next_checkpoint(self.current());
            ask(boundary);
            tally.boundary = boundary;
            self.cut(tally, boundary);
        }
    }

    /// Moves the epoch on for something that begins in the new one; `begin` is told it before anything can
    /// be sent there. Tells whether it did: not where all sources have ended or are to stop.
    pub(crate) fn cut_for(&self, begin: impl FnOnce(u64)) -> bool {
        let mut tally = self.tally();
        if self.stop().is_some() || self.have_all_ended() {
            return false;
        }
        let next = epoch::next_slice(self.current());
        begin(next);
        self.cut(&mut tally, next);
        true
    }

    /// Closes the open batch, whatever the mode says: what it withholds is awaited. Not where all sources have ended or
    /// are to stop.
    pub(crate) fn close_batch(&self) {
        let mut tally = self.tally();
        if self.stop().is_none() && !self.have_all_ended() {
            self.cut(&mut tally, epoch::next_batch(self.current()));
        }
    }

    /// When the open slice or batch will have to be cut, if it holds anything.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if self.stop().is_some() {
            return None; // what was sent last goes into the epoch before the boundary
        }
        let tally = self.tally();
        let slice = (tally.slice.records > 0).then(|| tally.slice.since + SLICE_AGE);
        let batch = match self.0.mode {
            Mode::MicroBatch(BatchCut {
                interval: Some(interval),
                ..
            }) => (tally.batch.records > 0).then(|| tally.batch.since + interval),
            _ => None,
        };
        [slice, batch].into_iter().flatten().min()
    }

    /// How many slices were cut, and how many at most were in flight.
    pub(crate) fn slices(&self) -> (u64, usize) {
        let tally = self.tally();
        (tally.slices, tally.most_in_flight)
    }

    fn cut_if_due(&self, tally: &mut Tally, now: Duration, acknowledged: u64) {
        self.settle(tally, acknowledged);
        if tally.batch.records == 0 || self.stop().is_some() {
            return;
        }
        let current = self.current();
        let slice_due = tally.slice.records >= SLICE_RECORDS
            || tally.slice.bytes >= SLICE_BYTES
            || tally.slice.records > 0 && now >= tally.slice.since + SLICE_AGE;
        let batch_due = match self.0.mode {
            Mode::Batch => false,
            Mode::MicroBatch(cut) => {
                cut.interval
                    .is_some_and(|interval| now >= tally.batch.since + interval)
                    || cut
                        .records
                        .is_some_and(|records| tally.batch.records >= records)
                    || cut.bytes.is_some_and(|bytes| tally.batch.bytes >= bytes)
            }
            Mode::PerRecord => slice_due || acknowledged >= current,
            Mode::PerRecordStrict => true,
        };
        if batch_due {
            self.cut(tally, epoch::next_batch(current));
        } else if slice_due {
            self.cut(tally, epoch::next_slice(current));
        }
    }

    /// Moves the epoch on; what was sent in it is in flight.
    fn cut(&self, tally: &mut Tally, next: u64) {
        let current = self.current();
        if tally.slice.records > 0 {
            let Sent { records, bytes, .. } = tally.slice;
            tally.in_flight.push_back((current, records, bytes));
            tally.records_in_flight += records;
            tally.bytes_in_flight += bytes;
            tally.slices += 1;
            tally.most_in_flight = tally.most_in_flight.max(tally.in_flight.len());
            tally.slice = Sent::default();
        }
        if epoch::Align::Batch.run(next) != epoch::Align::Batch.run(current) {
            tally.batch = Sent::default();
        }
        self.0.current.store(next, Ordering::Release);
        self.note_room(tally);
    }

    /// Forgets the slices that are through.
    fn settle(&self, tally: &mut Tally, acknowledged: u64) {
        while let Some((epoch, records, bytes)) = tally.in_flight.front().copied() {
            if epoch >= acknowledged {
                break;
            }
            tally.in_flight.pop_front();
            tally.records_in_flight -= records;
            tally.bytes_in_flight -= bytes;
        }
        self.note_room(tally);
    }

    fn note_room(&self, tally: &Tally) {
        let slices_max = match tally.records_in_flight < FEW_RECORDS {
            true => SMALL_SLICES_IN_FLIGHT,
            false => SLICES_IN_FLIGHT,
        };
        let full = tally.in_flight.len() >= slices_max || tally.bytes_in_flight >= BYTES_IN_FLIGHT;
        self.0.full.store(full, Ordering::Release);
        let busy = tally.batch.records > 0 || !tally.in_flight.is_empty();
        self.0.busy.store(busy, Ordering::Release);
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn an_empty_epoch_is_never_cut() {
        let epochs = Epochs::new(Mode::micro_batch(Duration::from_millis(1)), 0, 1);
        epochs.tick(Duration::from_secs(10), 0);
        assert_eq!(epochs.current(), epoch::FIRST);
        assert_eq!(epochs.deadline(), None);
    }

    #[test]
    fn a_micro_batch_is_cut_at_the_first_condition_that_holds() {
        let epochs = Epochs::new("micro-batch=10ms,5records".parse().unwrap(), 0, 1);
        epochs.sent(4, 0, NOW, 0);
        assert_eq!((epochs.current(), epochs.room()), (epoch::FIRST, 1));
        epochs.sent(1, 0, NOW, 0);
        let second = epoch::next_batch(epoch::FIRST);
        assert_eq!(epochs.current(), second);
        epochs.sent(1, 0, NOW, 0);
        epochs.tick(Duration::from_millis(10), 0);
        assert_eq!(epochs.current(), epoch::next_batch(second));

        let epochs = Epochs::new("micro-batch=1KiB,5records".parse().unwrap(), 0, 1);
        epochs.sent(1, 1_023, NOW, 0);
        assert_eq!(epochs.current(), epoch::FIRST);
        epochs.sent(1, 1, NOW, 0);
        assert_eq!(epochs.current(), second);
    }

    #[test]
    fn batch_mode_cuts_slices_and_no_batches() {
        let epochs = Epochs::new(Mode::Batch, 0, 1);
        epochs.sent(SLICE_RECORDS, 0, NOW, 0);
        assert_eq!(epochs.current(), epoch::FIRST + 1);
        epochs.sent(1, 0, NOW, 0);
        assert_eq!(epochs.deadline(), Some(SLICE_AGE));
        epochs.tick(SLICE_AGE, 0);
        assert_eq!(epochs.current(), epoch::FIRST + 2);
    }

    #[test]
    fn per_record_cuts_as_soon_as_what_came_before_is_through() {
        let epochs = Epochs::new(Mode::PerRecord, 0, 1);
        epochs.sent(1, 0, NOW, epoch::FIRST);
        let second = epoch::next_batch(epoch::FIRST);
        assert_eq!(epochs.current(), second);
        epochs.sent(1, 0, NOW, epoch::FIRST);
        epochs.sent(1, 0, NOW, epoch::FIRST);
        assert_eq!(epochs.current(), second, "the first is not through yet");
        epochs.tick(NOW, second);
        assert_eq!(epochs.current(), epoch::next_batch(second));
    }

    #[test]
    fn sources_wait_while_too_much_is_in_flight() {
        let epochs = Epochs::new(Mode::Batch, 0, 1);
        for slice in 0..SLICES_IN_FLIGHT as u64 {
            assert!(epochs.has_room(), "before slice {slice}");
            epochs.sent(SLICE_RECORDS, 1, NOW, epoch::FIRST);
        }
        assert!(!epochs.has_room());
        epochs.tick(NOW, epoch::FIRST + 1);
        assert!(epochs.has_room());
        epochs.sent(1, BYTES_IN_FLIGHT, NOW, epoch::FIRST + 1);
        assert!(!epochs.has_room(), "bytes count, too");
    }

    #[test]
    fn small_slices_may_be_many_until_they_hold_many_records() {
        let epochs = Epochs::new(Mode::PerRecordStrict, 0, 1);
        for slice in 0..SMALL_SLICES_IN_FLIGHT as u64 {
            assert!(epochs.has_room(), "before slice {slice}");
            epochs.claim(1, 1, NOW, epoch::FIRST);
        }
        assert!(!epochs.has_room());
        let epochs = Epochs::new("micro-batch=200records".parse().unwrap(), 0, 1);
        for slice in 0..SLICES_IN_FLIGHT as u64 {
            assert!(epochs.has_room(), "before slice {slice}");
            epochs.sent(200, 1, NOW, epoch::FIRST);
        }
        assert!(!epochs.has_room());
    }

    #[test]
    fn no_boundary_is_cut_once_all_sources_have_ended() {
        let epochs = Epochs::new(Mode::Batch, 0, 2);
        let mut asked = Vec::new();
        epochs.cut_checkpoint(|boundary| panic!("nothing was sent before {boundary}"));
        epochs.sent(1, 0, NOW, 0);
        epochs.cut_checkpoint(|boundary| asked.push(boundary));
        epochs.cut_checkpoint(|boundary| panic!("nothing was sent before {boundary}"));
        assert!(!epochs.source_ended());
        epochs.sent(1, 0, NOW, 0);
        epochs.cut_checkpoint(|boundary| asked.push(boundary));
        assert!(epochs.source_ended() && epochs.have_all_ended());
        epochs.cut_checkpoint(|boundary| asked.push(boundary));
        epochs.cut_to_stop(|boundary| asked.push(boundary));
        let first = epoch::next_checkpoint(epoch::FIRST);
        assert_eq!(asked, [first, epoch::next_checkpoint(first)]);
        assert_eq!((epochs.current(), epochs.stop()), (asked[1], None));
    }

    #[test]
    fn stop_moves_to_the_next_checkpoint_once() {
        let epochs = Epochs::new(Mode::Batch, 0, 1);
        epochs.sent(1, 0, NOW, 0);
        let mut asked = Vec::new();
        epochs.cut_to_stop(|boundary| asked.push(boundary));
        epochs.cut_to_stop(|boundary| asked.push(boundary));
        assert_eq!(asked, [epoch::next_checkpoint(epoch::FIRST)]);
        assert_eq!(
            (epochs.current(), epochs.stop()),
            (asked[0], Some(asked[0]))
        );
    }
}
