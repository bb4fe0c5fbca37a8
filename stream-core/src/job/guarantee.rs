//! What a job that keeps its state promises, and where that ends.

use std::fmt;
use std::str::FromStr;

use crate::engine::bindings::Bindings;
use crate::error::Problem;

/// What a job that [keeps its state](super::Job::state) asks of its sources.
///
/// | | a source that gives its records again | one that cannot: a channel |
/// |---|---|---|
/// | `exactly-once` | each record counts once | is refused |
/// | `at-least-once` | each record counts once | is read; a crash loses what it gave since the last checkpoint, so each record counts *at most* once |
///
/// In state and in outputs that are atomic, that is. Rows of outputs that are seen at once (stdout, a
/// channel) come again after a crash, under both.
///
/// ```
/// use stream_core::run::Guarantee;
///
/// assert_eq!("at-least-once".parse::<Guarantee>()?, Guarantee::AtLeastOnce);
/// assert_eq!(Guarantee::default().to_string(), "exactly-once");
/// # Ok::<(), stream_core::Problem>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Every source gives its records again; one that cannot is refused.
    #[default]
    ExactlyOnce,
    /// Sources that cannot are read all the same.
    AtLeastOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::ExactlyOnce => "exactly-once",
            Guarantee::AtLeastOnce => "at-least-once",
        })
    }
}

impl FromStr for Guarantee {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "exactly-once" => Ok(Guarantee::ExactlyOnce),
            "at-least-once" => Ok(Guarantee::AtLeastOnce),
            _ => Err(Problem::new(format!("`{text}` is no guarantee"))
                .hint("there are `exactly-once` and `at-least-once`")),
        }
    }
}

/// Refuses a source that cannot give its records again, if it has to.
pub(super) fn check(guarantee: Guarantee, bindings: &Bindings) -> Result<(), Problem> {
    let mut sources = bindings.sources();
    match sources.find(|(_, source)| !source.info.repeatable) {
        Some((port, source)) if guarantee == Guarantee::ExactlyOnce => {
            let what = format!("the source of `{port}` cannot give its records once more");
            let kind = source.info.kind;
            Err(Problem::new(what)
                .detail(format!(
                    "a {kind} is read once, so what a crash loses of it is lost"
                ))
                .hint(
                    "read files or a log, keep no state, or say that this may be: \
                     `Guarantee::AtLeastOnce`, `--guarantee at-least-once`",
                ))
        }
        _ => Ok(()),
    }
}

/// Says of each source and sink that cannot take part in exactly once what a crash does to it.
pub(super) fn caveats(bindings: &Bindings) -> Vec<String> {
    let sources = bindings.sources();
    let sources = sources.filter(|(_, source)| !source.info.repeatable);
    let lost = sources.map(|(port, source)| {
        let kind = source.info.kind;
        format!("`{port}` comes from a {kind}, which gives nothing again: a crash loses what it gave since the last checkpoint")
    });
    let sinks = bindings.sinks().filter(|(_, sink)| !sink.info().atomic);
    let twice = sinks.map(|(port, sink)| {
        let kind = sink.info().kind;
        format!("`{port}` goes to {kind}, which takes no rows back: after a crash those since the last checkpoint come again")
    });
    lost.chain(twice).collect()
}
