//! Sinks for tests and experiments: [`collect()`] keeps every record, [`discard()`] none.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex};

use super::lock;
use super::sink::{Commit, Sink, SinkInfo, Slot, Staged, Writer};
use crate::error::Problem;

/// Makes a sink that keeps its records in memory, and the handle that gives them out.
///
/// The rows are seen all at once when the job has succeeded, or what was written until then at each of
/// its checkpoints; worker by worker, each worker's in the order of writing. After a failure there are
/// no others.
///
/// ```
/// use stream_core::io::{Commit, Sink, Slot, collect};
///
/// let (sink, rows) = collect();
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![1, 2, 3])?;
/// writer.prepare(1)?;
/// assert!(rows.to_vec().is_empty());
/// sink.commit(&Commit::new(1, vec![]))?;
/// assert_eq!(rows.take(), [1, 2, 3]);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn collect<T: Send + 'static>() -> (Collect<T>, Rows<T>) {
    let sink = Collect {
        prepared: Arc::default(),
        rows: Rows(Arc::default()),
    };
    let rows = Rows(sink.rows.0.clone());
    (sink, rows)
}

/// The rows that a [`collect()`] sink has kept.
pub struct Rows<T>(Arc<Mutex<Committed<T>>>);

/// What has been committed.
struct Committed<T> {
    rows: Vec<T>,
    /// How many rows were taken out.
    taken: usize,
    /// By checkpoint, in their order: how many rows there had been by then, taken out or not.
    ends: Vec<(u64, usize)>,
}

impl<T> Default for Committed<T> {
    fn default() -> Self {
        Committed {
            rows: Vec::new(),
            taken: 0,
            ends: Vec::new(),
        }
    }
}

impl<T> Committed<T> {
    fn add(&mut self, checkpoint: u64, rows: impl Iterator<Item = T>) {
        self.rows.extend(rows);
        if self.ends.last().is_none_or(|(last, _)| *last < checkpoint) {
            self.ends.push((checkpoint, self.taken + self.rows.len()));
        }
    }

    /// Forgets what stands behind a checkpoint and was not taken out.
    fn go_back(&mut self, checkpoint: u64) {
        self.ends.retain(|(number, _)| *number <= checkpoint);
        if let Some((_, end)) = self.ends.last() {
            self.rows.truncate(end.saturating_sub(self.taken));
        }
    }
}

impl<T> Rows<T> {
    /// Takes the rows out.
    pub fn take(&self) -> Vec<T> {
        let mut committed = lock(&self.0);
        committed.taken += committed.rows.len();
        mem::take(&mut committed.rows)
    }

    /// Copies the rows.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        lock(&self.0).rows.clone()
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", lock(&self.0).rows.len())
    }
}

/// The sink that [`collect()`] makes.
pub struct Collect<T> {
    prepared: Prepared<T>,
    rows: Rows<T>,
}

/// By checkpoint and slot: what is to be committed.
type Prepared<T> = Arc<Mutex<BTreeMap<(u64, usize), Vec<T>>>>;

impl<T> fmt::Debug for Collect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collect")
    }
}

impl<T: Send + 'static> Sink<T> for Collect<T> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "collect",
            detail: String::new(),
            atomic: true,
        }
    }

    fn recover(&self, last: Option<&Commit>) -> Result<(), Problem> {
        if let Some(last) = last {
            Sink::commit(self, last)?;
        }
        match last {
            Some(last) if last.goes_back => lock(&self.rows.0).go_back(last.checkpoint),
            Some(_) => {}
            None => lock(&self.rows.0).ends.clear(), // another job counts from 1 again
        }
        self.abort();
        Ok(())
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        Ok(Box::new(Collector {
            slot: slot.index,
            rows: Vec::new(),
            prepared: self.prepared.clone(),
        }))
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        let mut prepared = lock(&self.prepared);
        let behind = prepared.split_off(&(commit.checkpoint + 1, 0));
        let committed = mem::replace(&mut *prepared, behind);
        let rows = committed.into_values().flatten();
        lock(&self.rows.0).add(commit.checkpoint, rows);
        Ok(())
    }

    fn abort(&self) {
        lock(&self.prepared).clear();
    }
}

struct Collector<T> {
    slot: usize,
    rows: Vec<T>,
    prepared: Prepared<T>,
}

impl<T> Writer<T> for Collector<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        self.rows.append(records);
        Ok(())
    }

    fn prepare(&mut self, checkpoint: u64) -> Result<Staged, Problem> {
        let rows = mem::take(&mut self.rows);
        lock(&self.prepared).insert((checkpoint, self.slot), rows);
        Ok(Staged::nothing())
    }
}

/// Makes a sink that takes records and forgets them.
///
/// ```
/// use stream_core::io::{Sink, Slot, discard};
///
/// discard().open(Slot::new(0, 1))?.write(&mut vec!["gone"])?;
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn discard() -> Discard {
    Discard
}

/// The sink that [`discard()`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl<T> Sink<T> for Discard {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "discard",
            detail: String::new(),
            atomic: true,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        Ok(Box::new(Discard))
    }
}

impl<T> Writer<T> for Discard {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        records.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::contract;

    #[test]
    fn collect_keeps_the_contract_of_sinks() {
        let make = || {
            let (sink, rows) = collect();
            (sink, move || rows.to_vec())
        };
        contract::sink(make, &(0..100).collect::<Vec<_>>());
    }

    #[test]
    fn rows_come_in_the_order_of_the_workers() {
        let (sink, rows) = collect();
        for worker in [1, 0] {
            let mut writer = sink.open(Slot::new(worker, 2)).unwrap();
            writer
                .write(&mut vec![(worker, 'a'), (worker, 'b')])
                .unwrap();
            writer.prepare(1).unwrap();
        }
        sink.commit(&Commit::new(1, vec![])).unwrap();
        assert_eq!(rows.take(), [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]);
        assert_eq!(rows.take(), []);
    }
}
