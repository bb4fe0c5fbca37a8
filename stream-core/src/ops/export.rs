//! What a stage has kept, as lines of JSON, read without the types of its pipeline.
//!
//! How an operator lays out the rows of a shard follows from its kind, and how a key and a value of
//! its own are written, from their shapes. What is laid out here is what the operators' `load` reads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calendar::CalendarWindows;
use super::session::SessionWindows;
use super::tumbling::TumblingWindows;
use super::window::Assign;
use crate::codec::{self, Reader};
use crate::engine::lane::LaneName;
use crate::error::Problem;
use crate::shape::{Schema, Shape, json};
use crate::state::Fingerprint;
use crate::time::span::parse_micros;
use crate::time::{Calendar, EventTime, Periods};

/// How the rows of one stage are read.
#[derive(Debug)]
pub(crate) struct Rows {
    layout: Layout,
    key: Schema,
    value: Schema,
}

/// What the rows of a shard are.
#[derive(Debug)]
enum Layout {
    /// Keys and values.
    Table,
    /// Keys, each with its sessions: the first moment, the last one, a timer, and the value.
    Sessions { gap: i64 },
    /// Starts of windows, each with keys and values.
    Windows { size: i64 },
    /// The same, of a calendar.
    Calendar(Periods),
}

impl Layout {
    fn of(fingerprint: &Fingerprint) -> Result<Self, Problem> {
        let kind = fingerprint.kind.as_str();
        Ok(match kind {
            "count" | "fold" | "scan" | "final_content" => Layout::Table,
            SessionWindows::KIND => Layout::Sessions {
                gap: length(fingerprint, "gap")?,
            },
            TumblingWindows::KIND => Layout::Windows {
                size: length(fingerprint, "size")?,
            },
            CalendarWindows::KIND => Layout::Calendar(periods(fingerprint)?),
            _ => {
                return Err(Problem::new(format!("the state of `{kind}` cannot be exported"))
                    .detail("what it keeps is not one row for each key or window, or this version does not know it")
                    .hint(
                        "there are the rows of `count`, `fold`, `scan`, `session`, `tumbling`, `calendar` and \
                         `event_time`, and the content of tables that are written; `state show` tells what any stage \
                         keeps",
                    ));
            }
        })
    }
}

/// A setting that is a length of time, in microseconds.
fn length(fingerprint: &Fingerprint, name: &str) -> Result<i64, Problem> {
    setting(fingerprint, name, parse_micros)
}

/// The setting of windows of a calendar.
fn periods(fingerprint: &Fingerprint) -> Result<Periods, Problem> {
    let read = |text: &str| text.parse::<Calendar>()?.resolve();
    let (_, periods) = setting(fingerprint, CalendarWindows::KIND, read)?;
    Ok(periods)
}

fn setting<T, E: std::error::Error + Send + Sync + 'static>(
    fingerprint: &Fingerprint,
    name: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Problem> {
    let mut settings = fingerprint.settings.iter();
    let setting = settings.find(|(other, _)| other == name);
    let text = setting.map_or("", |(_, value)| value);
    read(text).map_err(|error| {
        let kind = &fingerprint.kind;
        Problem::new(format!("the setting `{name}` of a `{kind}` cannot be read")).because(error)
    })
}

/// What keys or values are made of, by their shape.
fn schema(stage: &str, what: &str, shape: &Shape) -> Result<Schema, Problem> {
    match shape {
        Shape::Traced(text) => Schema::parse(text).map_err(|problem| {
            problem.hint(format!("it is that of the {what} of `{stage}`"))
        }),
        Shape::ByName(name) => Err(Problem::new(format!(
            "the {what} of `{stage}` cannot be read without their type"
        ))
        .detail(format!(
            "nothing is known of `{name}` but its name: it has a `Deserialize` of its own that takes only \
             certain input, or one of an untagged enum or of flattened fields"
        ))
        .hint(
            "keep a type with a derived `Deserialize`, or run the job and read its outputs",
        )),
    }
}

impl Rows {
    pub(crate) fn of(stage: &str, fingerprint: &Fingerprint) -> Result<Self, Problem> {
        Ok(Rows {
            layout: Layout::of(fingerprint)?,
            key: schema(stage, "keys", &fingerprint.key)?,
            value: schema(stage, "values", &fingerprint.state)?,
        })
    }

    /// The lines of a shard.
    pub(crate) fn lines(&self, shard: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut reader = Reader::new(shard)?;
        let mut out = Vec::new();
        let rows: u64 = reader.next()?;
        for _ in 0..rows {
            match &self.layout {
                Layout::Table => {
                    self.key_to(&mut reader, &mut out)?;
                    self.value_to(&mut reader, &mut out)?;
                }
                Layout::Sessions { gap } => {
                    let mut key = Vec::new();
                    self.key_to(&mut reader, &mut key)?;
                    let sessions: u64 = reader.next()?;
                    for _ in 0..sessions {
                        let [first, last, _timer] = moments(&mut reader)?;
                        out.extend_from_slice(&key);
                        bounds_to(first, last.plus(*gap), &mut out)?;
                        self.value_to(&mut reader, &mut out)?;
                    }
                }
                Layout::Windows { size } => {
                    self.window_to(&mut reader, |start| start.plus(*size), &mut out)?;
                }
                Layout::Calendar(periods) => {
                    self.window_to(&mut reader, |start| periods.around(start).1, &mut out)?;
                }
            }
        }
        reader.end()?;
        Ok(out)
    }

    /// The lines of a window, which ends where its start says.
    fn window_to(
        &self,
        reader: &mut Reader<'_>,
        end: impl Fn(EventTime) -> EventTime,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let [start] = moments(reader)?;
        let end = end(start);
        let keys: u64 = reader.next()?;
        for _ in 0..keys {
            self.key_to(reader, out)?;
            bounds_to(start, end, out)?;
            self.value_to(reader, out)?;
        }
        Ok(())
    }

    /// Begins a line.
    fn key_to(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        out.extend_from_slice(b"{\"key\":");
        self.key.transcode(reader, out)
    }

    /// Ends it.
    fn value_to(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        out.extend_from_slice(b",\"value\":");
        self.value.transcode(reader, out)?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// The highest event times that `event_time` has kept, a line a lane. The keys are where the lanes come
/// from: inputs and partitions, or nothing where that is not known any more.
pub(crate) fn lanes(
    bytes: &[u8],
    from: &BTreeMap<LaneName, (String, String)>,
) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    for (lane, high) in codec::decode::<BTreeMap<LaneName, EventTime>>(bytes)? {
        let key = from.get(&lane);
        let key = key.map(|(input, partition)| LaneKey { input, partition });
        out.extend_from_slice(b"{\"key\":");
        json(&key, &mut out)?;
        out.extend_from_slice(b",\"value\":");
        json(&high, &mut out)?;
        out.extend_from_slice(b"}\n");
    }
    Ok(out)
}

#[derive(Serialize)]
struct LaneKey<'a> {
    input: &'a str,
    partition: &'a str,
}

fn moments<const N: usize>(reader: &mut Reader<'_>) -> Result<[EventTime; N], Problem> {
    let mut moments = [EventTime::MIN; N];
    for moment in &mut moments {
        *moment = EventTime::micros(reader.next()?);
    }
    Ok(moments)
}

fn bounds_to(start: EventTime, end: EventTime, out: &mut Vec<u8>) -> Result<(), Problem> {
    out.extend_from_slice(b",\"start\":");
    json(&start, out)?;
    out.extend_from_slice(b",\"end\":");
    json(&end, out)
}
