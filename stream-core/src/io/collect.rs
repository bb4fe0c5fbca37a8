//! Sinks for tests and experiments: [`collect()`] keeps every record, [`discard()`] none.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex};

use super::lock;
use super::sink::{Sink, SinkInfo, Writer};
use crate::error::Problem;

/// Makes a sink that keeps its records in memory, and the handle that gives them out.
///
/// The rows are seen all at once when the job has succeeded, worker by worker, each worker's in
/// the order of writing; after a failure there are none.
///
/// ```
/// use stream_core::io::{Sink, collect};
///
/// let (sink, rows) = collect();
/// let mut writer = sink.open(0, 1)?;
/// writer.write(&mut vec![1, 2, 3])?;
/// writer.close()?;
/// assert!(rows.to_vec().is_empty());
/// sink.commit()?;
/// assert_eq!(rows.take(), [1, 2, 3]);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn collect<T: Send + 'static>() -> (Collect<T>, Rows<T>) {
    let sink = Collect {
        closed: Arc::default(),
        rows: Rows(Arc::default()),
    };
    let rows = Rows(sink.rows.0.clone());
    (sink, rows)
}

/// The rows that a [`collect()`] sink has kept.
pub struct Rows<T>(Arc<Mutex<Vec<T>>>);

impl<T> Rows<T> {
    /// Takes the rows out.
    pub fn take(&self) -> Vec<T> {
        mem::take(&mut *lock(&self.0))
    }

    /// Copies the rows.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Clone,
    {
        lock(&self.0).clone()
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", lock(&self.0).len())
    }
}

/// The sink that [`collect()`] makes.
pub struct Collect<T> {
    closed: Closed<T>,
    rows: Rows<T>,
}

/// What the writers that have closed have brought, with their worker's number.
type Closed<T> = Arc<Mutex<Vec<(usize, Vec<T>)>>>;

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

    fn open(&self, worker: usize, _: usize) -> Result<Box<dyn Writer<T>>, Problem> {
        Ok(Box::new(Collector {
            worker,
            rows: Vec::new(),
            closed: self.closed.clone(),
        }))
    }

    fn commit(&self) -> Result<(), Problem> {
        let mut closed = mem::take(&mut *lock(&self.closed));
        closed.sort_by_key(|(worker, _)| *worker);
        lock(&self.rows.0).extend(closed.into_iter().flat_map(|(_, rows)| rows));
        Ok(())
    }

    fn abort(&self) {
        lock(&self.closed).clear();
    }
}

struct Collector<T> {
    worker: usize,
    rows: Vec<T>,
    closed: Closed<T>,
}

impl<T> Writer<T> for Collector<T> {
    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        self.rows.append(records);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        lock(&self.closed).push((self.worker, mem::take(&mut self.rows)));
        Ok(())
    }
}

/// Makes a sink that takes records and forgets them.
///
/// ```
/// use stream_core::io::{Sink, discard};
///
/// discard().open(0, 1)?.write(&mut vec!["gone"])?;
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

    fn open(&self, _: usize, _: usize) -> Result<Box<dyn Writer<T>>, Problem> {
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
            let mut writer = sink.open(worker, 2).unwrap();
            writer
                .write(&mut vec![(worker, 'a'), (worker, 'b')])
                .unwrap();
            writer.close().unwrap();
        }
        sink.commit().unwrap();
        assert_eq!(rows.take(), [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]);
        assert_eq!(rows.take(), []);
    }
}
