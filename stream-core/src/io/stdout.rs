//! Records on the standard output, for people and for pipes.
//!
//! Rows are whole, whichever worker they come from, and seen as soon as a worker has nothing more
//! to write; a table is seen at the end. When the reader closes the pipe, the job ends cleanly.

use std::fmt;

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::canonical::{Canonical, canonical};
use super::files::{self, Csv, JsonLines};
use super::lock;
use super::place::Place;
use super::revise::{Revised, Revision};
use super::sink::{Commit, Sink, SinkInfo, Slot, Writer};
use super::text::{OutputFormat, Sequence, Table, Target, TextWriter, cannot_write};
use crate::error::Problem;

/// Prints each record as a line of JSON.
///
/// ```
/// use stream_core::io::{Sink, Slot, stdout};
///
/// let sink = stdout::json();
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![("a", 1), ("b", 2)])?;
/// writer.flush()?; // prints ["a",1] and ["b",2]
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn json() -> Stdout<JsonLines> {
    Stdout::new(JsonLines::NAME, Sequence::new(std::io::stdout()))
}

/// Prints each record as a row of CSV, behind a header with the names of the fields.
///
/// ```
/// use stream_core::io::{Sink, Slot, stdout};
///
/// #[derive(serde::Serialize)]
/// struct Count { word: &'static str, count: u64 }
///
/// let sink = stdout::csv();
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![Count { word: "a", count: 1 }])?;
/// writer.flush()?; // prints word,count and a,1
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn csv() -> Stdout<Csv> {
    Stdout::new(Csv::NAME, Sequence::new(std::io::stdout()))
}

/// Prints the records as a table when the job has succeeded; as several, where there are more
/// than a few megabytes of them. Its cells are those of [`csv()`].
///
/// ```
/// use stream_core::io::{Commit, Sink, Slot, stdout};
///
/// let sink = stdout::table();
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec![("a", 1), ("b", 22)])?;
/// writer.flush()?;
/// Sink::<(&str, i32)>::commit(&sink, &Commit::default().last())?; // prints the table
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn table() -> Stdout<Csv> {
    Stdout::new("table", Table::new(std::io::stdout()))
}

/// The sink that this module's functions make.
pub struct Stdout<F> {
    layout: &'static str,
    target: Arc<Mutex<dyn Target>>,
    format: PhantomData<F>,
}

impl<F> Stdout<F> {
    fn new(layout: &'static str, target: impl Target + 'static) -> Self {
        Stdout {
            layout,
            target: Arc::new(Mutex::new(target)),
            format: PhantomData,
        }
    }
}

impl<F> fmt::Debug for Stdout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stdout({})", self.layout)
    }
}

impl<T: Serialize + 'static, F: OutputFormat> Sink<T> for Stdout<F> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "stdout",
            detail: self.layout.to_owned(),
            atomic: false,
        }
    }

    fn exclusive(&self) -> Option<Place> {
        Some(Place::named("stdout"))
    }

    fn open(&self, slot: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        Ok(Box::new(TextWriter::<F::Encoder>::new(
            slot,
            self.target.clone(),
            "stdout".to_owned(),
        )))
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        match commit.is_last {
            true => lock(&self.target).finish(),
            false => Ok(()),
        }
        .map_err(|error| cannot_write("stdout", error))
    }

    fn canonical(&self) -> Option<Canonical<T>> {
        Some(canonical)
    }

    /// A file of JSON Lines for rows that are printed as such. A file of CSV has a header even without
    /// rows, which takes more than a row that can be printed; a table is for people alone.
    fn revised(&self, revision: &Revision) -> Revised<dyn Sink<T>> {
        match (revision, self.layout) {
            (Revision::Path(path), JsonLines::NAME) => files::to_json_lines(path).revised(revision),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;
    use crate::testing::contract;

    #[test]
    fn rows_that_are_printed_can_go_to_a_file_of_their_format() {
        let path = Revision::Path("rows".into());
        let revised = |sink: &dyn Sink<u64>| Some(sink.revised(&path)?.unwrap().info().kind);
        assert_eq!(revised(&json()), Some("json"));
        assert_eq!(revised(&csv()), None);
        assert_eq!(revised(&table()), None);
    }

    /// A standard output that tests can read.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    struct Count {
        word: &'static str,
        count: i32,
    }

    const COUNTS: [Count; 3] = [
        Count {
            word: "b",
            count: 1,
        },
        Count {
            word: "a, \"b\"",
            count: -20,
        },
        Count { word: "", count: 3 },
    ];

    /// Writes the counts with two workers; gives what is seen after the commit.
    fn print<F: OutputFormat>(sink: impl FnOnce(Screen) -> Stdout<F>) -> String {
        let screen = Screen::default();
        let sink = sink(screen.clone());
        for (worker, counts) in COUNTS.chunks(2).enumerate() {
            let mut writer = sink.open(Slot::new(worker, 2)).unwrap();
            writer.write(&mut counts.to_vec()).unwrap();
            writer.flush().unwrap();
        }
        Sink::<Count>::commit(&sink, &Commit::default().last()).unwrap();
        screen.text()
    }

    #[test]
    fn json_is_a_line_a_record() {
        let text = print(|screen| Stdout::<JsonLines>::new("json", Sequence::new(screen)));
        let expected = "{\"word\":\"b\",\"count\":1}\n{\"word\":\"a, \\\"b\\\"\",\"count\":-20}\n\
                        {\"word\":\"\",\"count\":3}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn csv_has_one_header_for_all_workers() {
        let text = print(|screen| Stdout::<Csv>::new("csv", Sequence::new(screen)));
        assert_eq!(text, "word,count\nb,1\n\"a, \"\"b\"\"\",-20\n,3\n");
    }

    #[test]
    fn a_table_is_aligned_numbers_to_the_right() {
        let text = print(|screen| Stdout::<Csv>::new("table", Table::new(screen)));
        let expected = "\
┌────────┬───────┐
│ word   ┆ count │
╞════════╪═══════╡
│ b      ┆     1 │
│ a, \"b\" ┆   -20 │
│        ┆     3 │
└────────┴───────┘
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_table_without_rows_prints_nothing() {
        let screen = Screen::default();
        let sink = Stdout::<Csv>::new("table", Table::new(screen.clone()));
        Sink::<Count>::commit(&sink, &Commit::default().last()).unwrap();
        assert_eq!(screen.text(), "");
    }

    #[test]
    fn stdout_keeps_the_contract_of_sinks() {
        let make = || {
            let screen = Screen::default();
            let sink = Stdout::<JsonLines>::new("json", Sequence::new(screen.clone()));
            (sink, move || {
                screen
                    .text()
                    .lines()
                    .map(|line| line.parse().unwrap())
                    .collect()
            })
        };
        contract::sink(make, &(0..20_000).collect::<Vec<u32>>());
    }

    #[test]
    fn a_closed_pipe_is_told_as_closed() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Stdout::<JsonLines>::new("json", Sequence::new(Closed));
        let mut writer = sink.open(Slot::new(0, 1)).unwrap();
        writer.write(&mut vec![1]).unwrap();
        let problem = writer.flush().unwrap_err();
        assert!(problem.is_closed());
        assert_eq!(
            problem.to_string(),
            "whoever read `stdout` has closed it: broken pipe"
        );
    }
}
