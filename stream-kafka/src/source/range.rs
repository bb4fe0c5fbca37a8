//! Where reading begins and ends.

use std::collections::BTreeMap;

use rdkafka::Offset;
use stream_core::EventTime;

use crate::client::Place;

/// Where to begin in each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the first record that is still there.
    #[default]
    Earliest,
    /// With what comes after the start of the job. In a partition that is added later, with the first.
    Latest,
    /// With the first record whose Kafka timestamp is not before this; behind the last if there is none.
    At(EventTime),
    /// At these offsets, by topic and partition; the others with the first record.
    Offsets(BTreeMap<(String, i32), u64>),
}

/// Where to end in each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Nowhere: the job waits for more.
    #[default]
    Never,
    /// Behind what was there when the job was started.
    Latest,
    /// Before the first record whose Kafka timestamp is not before this; behind what was there at the
    /// start if there is none.
    At(EventTime),
    /// Before these offsets, by topic and partition; the others behind what was there at the start.
    Offsets(BTreeMap<(String, i32), u64>),
}

impl Start {
    /// Begins at these offsets: topic, partition, offset of the first record.
    ///
    /// ```
    /// use stream_kafka::Start;
    ///
    /// let start = Start::offsets([("clicks", 0, 1_000), ("clicks", 1, 0)]);
    /// ```
    pub fn offsets<T: Into<String>>(offsets: impl IntoIterator<Item = (T, i32, u64)>) -> Self {
        Start::Offsets(by_place(offsets))
    }

    pub(super) fn of(&self, place: &Place) -> Wanted {
        match self {
            Start::Earliest => Wanted::Ask(Offset::Beginning),
            Start::Latest => Wanted::Ask(Offset::End),
            Start::At(time) => Wanted::Ask(at(*time)),
            Start::Offsets(offsets) => {
                known(offsets, place).map_or(Wanted::Ask(Offset::Beginning), Wanted::Known)
            }
        }
    }
}

impl End {
    /// Ends at these offsets: topic, partition, offset of the first record that is not read.
    pub fn offsets<T: Into<String>>(offsets: impl IntoIterator<Item = (T, i32, u64)>) -> Self {
        End::Offsets(by_place(offsets))
    }

    pub(super) fn of(&self, place: &Place) -> Option<Wanted> {
        match self {
            End::Never => None,
            End::Latest => Some(Wanted::Ask(Offset::End)),
            End::At(time) => Some(Wanted::Ask(at(*time))),
            End::Offsets(offsets) => {
                Some(known(offsets, place).map_or(Wanted::Ask(Offset::End), Wanted::Known))
            }
        }
    }
}

/// An offset that is known, or that the broker is to be asked for.
pub(super) enum Wanted {
    Known(i64),
    Ask(Offset),
}

fn by_place<T: Into<String>>(
    offsets: impl IntoIterator<Item = (T, i32, u64)>,
) -> BTreeMap<(String, i32), u64> {
    let offsets = offsets.into_iter();
    offsets
        .map(|(topic, partition, offset)| ((topic.into(), partition), offset))
        .collect()
}

fn known(offsets: &BTreeMap<(String, i32), u64>, place: &Place) -> Option<i64> {
    let offset = offsets.get(&(place.topic.to_string(), place.partition))?;
    Some(i64::try_from(*offset).unwrap_or(i64::MAX))
}

/// What the broker understands as a time: milliseconds, rounded up. There are none before 1970.
fn at(time: EventTime) -> Offset {
    let micros = time.as_micros().max(0);
    Offset::Offset(micros / 1_000 + i64::from(micros % 1_000 > 0))
}
