//! An output port that is tapped: its records as text, in place of its sink.

use std::marker::PhantomData;

use serde::Serialize;

use super::output::End;
use crate::engine::abort::Abort;
use crate::engine::batch::Segment;
use crate::engine::lane::Lane;
use crate::engine::local::Local;
use crate::engine::tap::{Row, Tap, TapWriter, Told};
use crate::error::Problem;
use crate::io::{self, Canonical};
use crate::state::record::Stamp;
use crate::time::EventTime;

/// How the records at an output port are told.
pub(crate) struct Telling<T> {
    /// `None` leaves it to the sink.
    text: Option<Canonical<T>>,
    change: Option<Changing<T>>,
}

/// How a change tells its key, and whether the key is there from now on.
struct Changing<T> {
    key: Canonical<T>,
    is_there: fn(&T) -> bool,
}

impl<T> Telling<T> {
    /// Records that only the sink may know how to tell.
    pub(crate) fn by_sink() -> Self {
        Telling {
            text: None,
            change: None,
        }
    }

    /// Records that can be told whatever the sink.
    pub(crate) fn rows() -> Self
    where
        T: Serialize,
    {
        Telling {
            text: Some(io::canonical),
            change: None,
        }
    }

    /// Changes, of which only the last of each key counts.
    pub(crate) fn changes(key: Canonical<T>, is_there: fn(&T) -> bool) -> Self
    where
        T: Serialize,
    {
        Telling {
            text: Some(io::canonical),
            change: Some(Changing { key, is_there }),
        }
    }
}

/// The end of a stream at an output port that is tapped.
pub(crate) struct TapPort<S, T> {
    stamp: PhantomData<S>,
    port: String,
    telling: Telling<T>,
    writer: Option<Box<dyn TapWriter>>,
    text: String,
    key: String,
    abort: Abort,
}

impl<S: Stamp, T: 'static> TapPort<S, T> {
    pub(crate) fn open(port: &str, telling: Telling<T>, tap: &dyn Tap, local: &Local) -> Self {
        let sink = local.bindings.sink(port).typed::<T>();
        let text = telling.text.or_else(|| sink.canonical());
        let told = match (text, &telling.change) {
            (None, _) => Told::Nothing,
            (Some(_), None) => Told::Rows,
            (Some(_), Some(_)) => Told::Changes,
        };
        TapPort {
            stamp: PhantomData,
            port: port.to_owned(),
            telling: Telling { text, ..telling },
            writer: Some(tap.open(port, told)),
            text: String::new(),
            key: String::new(),
            abort: local.abort.clone(),
        }
    }

    fn row(
        &mut self,
        epoch: u64,
        lane: Lane,
        event_time: Option<EventTime>,
        record: &T,
    ) -> Result<(), Problem> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        self.text.clear();
        self.key.clear();
        if let Some(canonical) = self.telling.text {
            canonical(record, &mut self.text)?;
        }
        let mut is_gone = false;
        if let Some(change) = &self.telling.change {
            (change.key)(record, &mut self.key)?;
            is_gone = !(change.is_there)(record);
        }
        writer.take(&Row {
            epoch,
            lane,
            event_time,
            text: &self.text,
            key: &self.key,
            is_gone,
        })
    }

    fn attempt(&mut self, step: impl FnOnce(&mut dyn TapWriter) -> Result<(), Problem>) {
        let done = match &mut self.writer {
            Some(writer) => step(&mut **writer),
            None => Ok(()),
        };
        done.unwrap_or_else(|problem| self.fail(problem));
    }

    fn fail(&mut self, problem: Problem) {
        self.writer = None;
        self.abort.fail_sink(&self.port, problem);
    }
}

impl<S: Stamp, T: 'static> End for TapPort<S, T> {
    fn take(&mut self, epoch: u64, segment: &mut Segment) -> usize {
        let lane = segment.lane;
        let mut count = 0;
        for (stamp, record) in segment.records::<(S, T)>().drain(..) {
            let stamp: &dyn std::any::Any = &stamp;
            let event_time = stamp.downcast_ref().copied();
            if let Err(problem) = self.row(epoch, lane, event_time, &record) {
                self.fail(problem);
            }
            count += usize::from(self.writer.is_some());
        }
        count
    }

    fn flush(&mut self) {
        self.attempt(|writer| writer.flush());
    }

    fn close(&mut self) {
        self.attempt(|writer| writer.close());
        self.writer = None;
    }
}
