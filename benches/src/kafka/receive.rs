//! Receives what comes out. Nothing is looked into while the clock runs: texts and times of receipt are
//! kept, and judged afterwards.

use std::error::Error;
use std::time::{Duration, Instant};

use super::Mode;
use super::batch::Batches;
use super::client::{self, now_us};

/// How long to wait for a record at a time.
const WAIT: Duration = Duration::from_millis(20);
/// After so long without a record nothing more is expected to come.
const QUIET: Duration = Duration::from_millis(300);

pub(super) struct Receiver {
    batches: Batches,
    texts: Vec<u8>,
    /// Of each record: where its text ends, and when it was received, in microseconds of the wall clock.
    records: Vec<(usize, i64)>,
}

impl Receiver {
    pub(super) fn new(bootstrap: &str, topic: &str, mode: Mode) -> Result<Self, Box<dyn Error>> {
        Ok(Receiver {
            batches: Batches::new(&client::consumer(bootstrap, mode), topic)?,
            texts: Vec::new(),
            records: Vec::new(),
        })
    }

    /// Makes room beforehand, so that no growth falls into what is measured.
    pub(super) fn reserve(&mut self, records: u64) {
        self.records.reserve(records as usize);
        self.texts.reserve(records as usize * 128);
    }

    pub(super) fn received(&self) -> u64 {
        self.records.len() as u64
    }

    /// Receives until there are so many, all in all; gives up when none has come for too long, or when
    /// `is_well` fails, which is asked now and then.
    pub(super) fn receive(
        &mut self,
        records: u64,
        idle_max: Duration,
        mut is_well: impl FnMut() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut latest = Instant::now();
        while self.received() < records {
            if self.poll()? > 0 {
                latest = Instant::now();
                continue;
            }
            is_well()?;
            if latest.elapsed() > idle_max {
                let received = self.received();
                return Err(format!("{received} of {records} records came, and no more").into());
            }
        }
        Ok(())
    }

    /// Receives what nobody expects, until it is quiet.
    pub(super) fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        let mut latest = Instant::now();
        while latest.elapsed() < QUIET {
            if self.poll()? > 0 {
                latest = Instant::now();
            }
        }
        Ok(())
    }

    /// All records in the order of their receipt, by text and time.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let mut start = 0;
        self.records.iter().map(move |&(end, at_us)| {
            let text = &self.texts[start..end];
            start = end;
            (text, at_us)
        })
    }

    fn poll(&mut self) -> Result<usize, Box<dyn Error>> {
        let Receiver {
            batches,
            texts,
            records,
        } = self;
        Ok(batches.poll(WAIT, |_, payload| {
            texts.extend_from_slice(payload);
            records.push((texts.len(), now_us()));
        })?)
    }
}
