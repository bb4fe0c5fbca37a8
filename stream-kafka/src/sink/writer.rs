//! The writers of a slot.

use std::sync::Arc;

use stream_core::Problem;
use stream_core::io::{Staged, Watch, Wish, Writer};

use super::Settings;
use super::format::Encode;
use crate::client::{Batch, Producer, Scratch};

/// Sends records as they come: at least once.
pub(super) struct Sending<E> {
    producer: Arc<Producer>,
    format: E,
    batch: Batch,
    scratch: Scratch,
    /// How many checkpoints were prepared: the mark that records are sent under.
    prepared: usize,
    job: Option<Watch>,
}

impl<E> Sending<E> {
    pub(super) fn new(settings: &Settings, format: E) -> Result<Self, Problem> {
        let producer = settings.producer(&[], settings.cluster.start_wait_max())?;
        Ok(Sending {
            producer: Arc::new(producer),
            format,
            batch: Batch::default(),
            scratch: Scratch::default(),
            prepared: 0,
            job: None,
        })
    }
}

impl<T, E: Encode<T>> Writer<T> for Sending<E> {
    fn watch(&mut self, job: Watch) {
        self.job = Some(job);
    }

    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        encode(&mut self.format, records, &mut self.batch)?;
        let sent = self
            .producer
            .send(&self.batch, self.prepared, &mut self.scratch, || {
                goes_on(self.job.as_ref())
            });
        self.batch.clear();
        sent.map_err(|failure| self.producer.explain(&failure))
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.producer
            .hear()
            .map_err(|failure| self.producer.explain(&failure))
    }

    fn prepare(&mut self, _checkpoint: u64) -> Result<Staged, Problem> {
        let (producer, mark, job) = (self.producer.clone(), self.prepared, self.job.clone());
        self.prepared += 1;
        Ok(Staged::by(move || {
            producer
                .wait(mark, || goes_on(job.as_ref()))
                .map_err(|failure| producer.explain(&failure))?;
            Ok(Vec::new())
        }))
    }
}

/// Whether what is written may still count.
fn goes_on(job: Option<&Watch>) -> bool {
    job.is_none_or(|job| job.wish() != Wish::Abandon)
}

/// Keeps records for the commit of their checkpoint: exactly once.
pub(super) struct Staging<E> {
    format: E,
    batch: Batch,
}

impl<E> Staging<E> {
    pub(super) fn new(format: E) -> Self {
        Staging {
            format,
            batch: Batch::default(),
        }
    }
}

impl<T, E: Encode<T>> Writer<T> for Staging<E> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        encode(&mut self.format, records, &mut self.batch)
    }

    fn held(&self) -> u64 {
        self.batch.size() as u64
    }

    fn prepare(&mut self, _checkpoint: u64) -> Result<Staged, Problem> {
        if self.batch.is_empty() {
            return Ok(Staged::nothing());
        }
        let batch = std::mem::take(&mut self.batch);
        Ok(Staged::by(move || batch.to_staged()))
    }
}

fn encode<T, E: Encode<T>>(
    format: &mut E,
    records: &mut Vec<T>,
    batch: &mut Batch,
) -> Result<(), Problem> {
    for record in records.drain(..) {
        batch.add(|draft| {
            format.encode(&record, &mut super::OutgoingRecord::new(draft))?;
            draft.check()
        })?;
    }
    Ok(())
}
