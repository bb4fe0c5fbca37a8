//! `inspect`: runs the job, writes to no sink, and prints what passes one output port.

use std::io::{ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::line::InspectFormat;
use crate::engine::tap::{Row, Tap, TapWriter, Told};
use crate::error::Problem;
use crate::graph::GraphSpec;
use crate::time::epoch;

/// How much is gathered before it is printed, if there is no pause before.
const BUFFER_BYTES: usize = 64 * 1024;

/// Prints the records of one port; those of the others are forgotten.
pub(super) struct Inspection {
    port: String,
    format: InspectFormat,
    /// What the lanes begin at, by the number of the stage.
    stages: Arc<[String]>,
    page: Arc<Mutex<Page>>,
}

/// What is to be printed, by whichever worker comes first.
struct Page {
    /// How many records may still be added.
    left: u64,
    text: String,
}

impl Inspection {
    /// # Errors
    /// When the pipeline has no such output.
    pub(super) fn new(
        spec: &GraphSpec,
        port: &str,
        format: InspectFormat,
        rows: Option<u64>,
    ) -> Result<Self, Problem> {
        let outputs = || spec.nodes.iter().filter(|node| node.kind == "output");
        if !outputs().any(|node| node.port() == Some(port)) {
            return Err(no_output(spec, port));
        }
        let stages = spec.nodes.iter().map(|node| {
            let name = node.id.strip_prefix(&spec.name).unwrap_or(&node.id);
            name.trim_start_matches('/').to_owned()
        });
        Ok(Inspection {
            port: port.to_owned(),
            format,
            stages: stages.collect(),
            page: Arc::new(Mutex::new(Page {
                left: rows.unwrap_or(u64::MAX),
                text: String::new(),
            })),
        })
    }
}

/// Says what there is instead.
fn no_output(spec: &GraphSpec, wanted: &str) -> Problem {
    let outputs = spec.nodes.iter().filter(|node| node.kind == "output");
    let ports: Vec<_> = outputs
        .filter_map(|node| Some(format!("`{}`", node.port()?)))
        .collect();
    let ports = ports.join(", ");
    let is_stage = |id: &str| id == wanted || id.ends_with(&format!("/{wanted}"));
    if spec.nodes.iter().any(|node| is_stage(&node.id)) {
        return Problem::new(format!("`{wanted}` is a stage, and no output"))
            .detail(format!("the outputs are {ports}"))
            .hint(format!(
                "to see what passes it, clone its stream and give it a name: \
                 `graph.output(\"seen\", {wanted}.clone())`"
            ));
    }
    Problem::new(format!("the pipeline has no output `{wanted}`"))
        .hint(format!("its outputs are {ports}"))
}

impl Tap for Inspection {
    fn open(&self, port: &str, told: Told) -> Box<dyn TapWriter> {
        if port != self.port {
            return Box::new(Forgotten);
        }
        Box::new(Printer {
            told,
            format: self.format,
            stages: self.stages.clone(),
            page: self.page.clone(),
        })
    }
}

struct Forgotten;

impl TapWriter for Forgotten {
    fn take(&mut self, _: &Row<'_>) -> Result<(), Problem> {
        Ok(())
    }
}

/// Takes the records of one worker.
struct Printer {
    told: Told,
    format: InspectFormat,
    stages: Arc<[String]>,
    page: Arc<Mutex<Page>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    epoch: String,
    lane: String,
    event_time: Option<String>,
    record: &'a str,
}

impl Printer {
    /// The record as a line.
    fn line(&self, row: &Row<'_>) -> String {
        let (checkpoint, batch, slice) = epoch::parts(row.epoch);
        let epoch = format!("{checkpoint}.{batch}.{slice}");
        let stage = self.stages.get(row.lane.origin as usize);
        let lane = format!(
            "{}:{}",
            stage.map_or("?", |stage| stage),
            row.lane.partition
        );
        let event_time = row.event_time.map(|time| time.to_string());
        let record = row.text;
        match self.format {
            InspectFormat::Text => {
                let time = event_time.as_deref().unwrap_or("-");
                format!("{epoch}\t{lane}\t{time}\t{record}\n")
            }
            InspectFormat::Json => {
                let row = JsonRow {
                    epoch,
                    lane,
                    event_time,
                    record,
                };
                // Four texts always are JSON.
                serde_json::to_string(&row).unwrap_or_default() + "\n"
            }
        }
    }
}

impl TapWriter for Printer {
    fn take(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        if self.told == Told::Nothing {
            return Err(Problem::new("its records cannot be printed")
                .detail("its sink cannot tell them as text")
                .hint("bind it as `io::comparable(…)`"));
        }
        let line = self.line(row);
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        if page.left > 0 {
            page.left -= 1;
            page.text.push_str(&line);
        }
        if page.left == 0 || page.text.len() >= BUFFER_BYTES {
            print(&mut page)?;
        }
        match page.left {
            0 => Err(Problem::closed("all rows that were asked for are printed")),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        print(&mut self.page.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn print(page: &mut Page) -> Result<(), Problem> {
    let text = mem::take(&mut page.text);
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes());
    printed
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Problem::closed("whoever read `stdout` has closed it"),
            _ => Problem::new("cannot write `stdout`").because(error),
        })
}
