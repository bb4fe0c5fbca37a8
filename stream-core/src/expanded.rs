//! What the code of `#[pipeline]` is made of, beside the fluent API: the job and the test of a
//! pipeline, with what every job can be told written once, for all pipelines.

use std::any::Any;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::Wait;
use crate::graph::{Graph, GraphSpec, Outline, Setting};
use crate::io;
use crate::job::{Guarantee, Handle, Report, Restarts, Share};
use crate::state::StateStore;
use crate::testing::{Inputs, Outputs, check_modes, check_recovery};
use crate::time::{Clock, Leap};
use crate::{Error, Job, Mode, Problem, Snapshot};

/// A job of a `#[pipeline]`, as `name::job()` gives it: what it can be told besides its ports and
/// its settings, which are methods of its own.
///
/// The trait names such a job in a signature, whatever is bound to it already.
///
/// ```
/// use stream_core::prelude::*;
/// use stream_core::{io, run::Report};
///
/// #[pipeline]
/// fn long(words: Stream<String>, min: usize) -> Stream<String> {
///     let long = words.filter(|word| word.len() >= min);
///     long
/// }
///
/// fn tuned<J: PipelineJob>(job: J, workers: Option<usize>) -> J {
///     match workers {
///         Some(workers) => job.workers(workers),
///         None => job,
///     }
/// }
///
/// fn complete(words: Vec<String>) -> impl ReadyJob {
///     let job = long::job().min(3).words(io::vec(words)).long(io::discard());
///     tuned(job, Some(2))
/// }
///
/// let report = complete(vec!["a".into(), "word".into()]).run(Mode::Batch)?;
/// # let _: Report = report;
/// # Ok::<(), stream_core::Error>(())
/// ```
pub trait PipelineJob: Sized {
    #[doc(hidden)]
    fn from_draft(draft: Draft) -> Self;
    #[doc(hidden)]
    fn into_draft(self) -> Draft;
    #[doc(hidden)]
    fn draft(&self) -> &Draft;

    /// Changes the job by one of its own methods: `.change(|job| job.limit(10))`.
    fn change(self, change: impl FnOnce(Job) -> Job) -> Self {
        Self::from_draft(self.into_draft().map(change))
    }

    /// Gives a setting its value by text, as a command line does.
    ///
    /// # Errors
    /// When there is no such setting, or the text is no value of it.
    fn set(self, name: &str, text: &str) -> Result<Self, Error> {
        let told = self.draft().job.set_by_text(name, text);
        told.map(|()| self)
    }

    /// Sets the number of workers, each a thread; 1 unless told otherwise.
    fn workers(self, workers: usize) -> Self {
        self.change(|job| job.workers(workers))
    }

    /// Sets what workers do while they have nothing to do; see [`Job::idle`].
    fn idle(self, wait: Wait) -> Self {
        self.change(|job| job.idle(wait))
    }

    /// Sets the clock, so that a test can drive it by hand.
    fn clock(self, clock: Clock) -> Self {
        self.change(|job| job.clock(clock))
    }

    /// Reads at most so many records of each partition; see [`Job::limit`].
    fn limit(self, records: u64) -> Self {
        self.change(|job| job.limit(records))
    }

    /// Sets how far a record may leap ahead of its lane; see [`Job::max_leap`].
    fn max_leap(self, leap: Leap) -> Self {
        self.change(|job| job.max_leap(leap))
    }

    /// Sets how many of an input's records may be late; see [`Job::max_late`].
    fn max_late(self, share: Share) -> Self {
        self.change(|job| job.max_late(share))
    }

    /// Sets how many of an input's records may be bad; see [`Job::max_bad`].
    fn max_bad(self, share: Share) -> Self {
        self.change(|job| job.max_bad(share))
    }

    /// Starts from the state of a job that was stopped, on any number of workers.
    fn start_from(self, snapshot: Snapshot) -> Self {
        self.change(|job| job.start_from(snapshot))
    }

    /// Keeps the job's state in a store, and goes on from the last checkpoint there; see [`Job::state`].
    fn state(self, store: StateStore) -> Self {
        self.change(|job| job.state(store))
    }

    /// Makes a checkpoint so often while the job runs; see [`Job::checkpoint_interval`].
    fn checkpoint_interval(self, interval: Duration) -> Self {
        self.change(|job| job.checkpoint_interval(interval))
    }

    /// Starts the job once more when it fails; see [`Job::restarts`].
    fn restarts(self, restarts: Restarts) -> Self {
        self.change(|job| job.restarts(restarts))
    }

    /// Says what the job promises if it keeps its state; see [`Job::guarantee`].
    fn guarantee(self, guarantee: Guarantee) -> Self {
        self.change(|job| job.guarantee(guarantee))
    }

    /// Describes the pipeline; no port needs to be bound for that.
    ///
    /// # Errors
    /// When a setting has no value, or the pipeline's function has made a mistake.
    fn explain(&self) -> Result<GraphSpec, Error> {
        self.draft().job.explain()
    }

    /// Gives the job with everything that is bound to it.
    fn into_job(self) -> Job
    where
        Self: ReadyJob,
    {
        self.into_draft().job
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// When the job is put together wrongly, or what it reads, computes or writes fails. Then no
    /// sink is committed.
    fn run(self, mode: Mode) -> Result<Report, Error>
    where
        Self: ReadyJob,
    {
        self.into_job().run(mode)
    }

    /// Starts the job on threads of its own.
    ///
    /// # Errors
    /// When the job is put together wrongly, or a source cannot be found.
    fn start(self, mode: Mode) -> Result<Handle, Error>
    where
        Self: ReadyJob,
    {
        self.into_job().start(mode)
    }

    /// Runs the job as its command line says: the body of `main`. A setting that is not given here
    /// is given there: `--set name=value`.
    #[cfg(feature = "cli")]
    fn main(self) -> std::process::ExitCode
    where
        Self: ConnectedJob,
    {
        self.into_draft().job.main()
    }
}

/// A job whose ports are all bound and whose settings all have a value, so that it can run.
pub trait ReadyJob: ConnectedJob {}

/// A job whose ports are all bound.
pub trait ConnectedJob: PipelineJob {}

/// A test of a `#[pipeline]`, as `name::test()` gives it.
///
/// ```
/// use stream_core::prelude::*;
///
/// #[pipeline]
/// fn long(words: Stream<String>, min: usize) -> Stream<String> {
///     let long = words.filter(|word| word.len() >= min);
///     long
/// }
///
/// let rows = long::test().words(["a", "word"].map(String::from)).min(3).rows();
/// assert_eq!(rows.long, ["word"]);
/// ```
pub trait PipelineTest<Rows>: Sized {
    /// Runs the pipeline, in any mode, and gives the rows of each output, by its name, in the order
    /// in which they were written. Behind a key only the order of one key's rows is said: sort those of
    /// several keys before they are compared.
    ///
    /// # Panics
    /// When the job fails.
    fn run(self, mode: Mode) -> Rows
    where
        Self: ReadyTest;

    /// As [`run`](PipelineTest::run), in batch mode.
    ///
    /// # Panics
    /// When the job fails.
    fn rows(self) -> Rows
    where
        Self: ReadyTest,
    {
        self.run(Mode::Batch)
    }
}

/// A test whose inputs have records and whose settings have a value.
pub trait ReadyTest {}

/// The state of a port or a setting that must still be given.
pub enum NotBound {}

/// The state of a port or a setting that has been given.
pub enum Bound {}

/// An input that has no source yet.
#[diagnostic::on_unimplemented(
    message = "this input has a source already",
    label = "leave out this one, or the one before"
)]
pub trait FreeInput {}
impl FreeInput for NotBound {}

/// An output that has no sink yet.
#[diagnostic::on_unimplemented(
    message = "this output has a sink already",
    label = "leave out this one, or the one before"
)]
pub trait FreeOutput {}
impl FreeOutput for NotBound {}

/// A pipeline that sources and sinks can be bound to.
#[diagnostic::on_unimplemented(
    message = "the pipeline `{Self}` is a part of others and has no job of its own",
    label = "it takes or returns a handle that no source gives and no sink takes",
    note = "call its function in another pipeline, one that takes `Stream`s and returns streams or \
            tables"
)]
pub trait RunsAlone {}

/// A record that a test can be given.
#[diagnostic::on_unimplemented(
    message = "a test cannot be given records of type `{Self}`",
    label = "the records of a test must be `Clone + Send + Sync + 'static`"
)]
pub trait TestRecord: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> TestRecord for T {}

/// A row that a test can gather.
#[diagnostic::on_unimplemented(
    message = "a test cannot gather rows of type `{Self}`",
    label = "the rows of a test must be `Send + 'static`"
)]
pub trait TestRow: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> TestRow for T {}

/// What a test checks of its pipeline.
pub trait Check {
    /// Runs the check.
    fn check<I: Inputs, O: Outputs>(
        inputs: I,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    );
}

/// That it gives the same in every mode.
#[derive(Debug)]
pub enum Modes {}

impl Check for Modes {
    fn check<I: Inputs, O: Outputs>(
        inputs: I,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    ) {
        check_modes(inputs, pipeline);
    }
}

/// That it gives the same through crashes.
#[derive(Debug)]
pub enum Recovery {}

impl Check for Recovery {
    fn check<I: Inputs, O: Outputs>(
        inputs: I,
        pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
    ) {
        check_recovery(inputs, pipeline);
    }
}

/// A row that a check can show.
#[diagnostic::on_unimplemented(
    message = "`check_modes` and `check_recovery` cannot show rows of type `{Self}`",
    label = "the rows that they compare must be `Debug + Send + 'static`"
)]
pub trait CheckedRow: Debug + TestRow {}

#[diagnostic::do_not_recommend]
impl<T: Debug + TestRow> CheckedRow for T {}

/// What a sink of an output is given.
pub type Row<O> = <O as crate::graph::Output>::Row;

/// That a type can be a setting, told where it is written.
pub const fn is_setting<T: Setting>() {}

/// The values of a pipeline's settings, by name.
#[derive(Clone, Default)]
pub struct Settings(Vec<(&'static str, Arc<dyn Any + Send + Sync>)>);

impl Settings {
    /// No values.
    pub fn new() -> Self {
        Settings::default()
    }

    /// Gives a setting its value.
    pub fn put<T: Setting>(&mut self, name: &'static str, value: T) {
        self.0.retain(|(given, _)| *given != name);
        self.0.push((name, Arc::new(value)));
    }

    /// The same.
    pub fn with<T: Setting>(mut self, name: &'static str, value: T) -> Self {
        self.put(name, value);
        self
    }

    fn value<T: Setting>(&self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(given, _)| *given == name)?;
        value.downcast_ref().cloned()
    }

    /// The value of a setting, for a graph. That there is none is noted there.
    pub fn get<T: Setting>(&self, graph: &Graph, name: &str) -> Option<T> {
        let value = self.value(name);
        if value.is_none() {
            graph.problem(
                Problem::new(format!("the setting `{name}` has no value")).hint(format!(
                    "give it one: `--set {name}=…`, or `.{name}(…)` in the program"
                )),
            );
        }
        value
    }

    /// The value of a setting that the test has seen given.
    ///
    /// # Panics
    /// When it has none.
    pub fn given<T: Setting>(&self, name: &str) -> T {
        let value = self.value(name);
        value.unwrap_or_else(|| panic!("the test has seen the setting `{name}` given"))
    }
}

/// The settings of a job's command line.
struct SettingsByText {
    settings: Arc<Mutex<Settings>>,
    set: SetByText,
}

impl crate::job::Settings for SettingsByText {
    fn set(&self, name: &str, text: &str) -> Result<(), Problem> {
        (self.set)(&mut lock(&self.settings), name, text)
    }

    #[cfg(feature = "cli")]
    fn has(&self, name: &str) -> bool {
        let settings = lock(&self.settings);
        settings.0.iter().any(|(given, _)| *given == name)
    }
}

/// Gives a setting a value by text.
pub type SetByText = fn(&mut Settings, &str, &str) -> Result<(), Problem>;

/// Reads a setting from text, where its type can.
pub struct Text<T>(PhantomData<T>);

impl<T> Text<T> {
    /// A reader of this type.
    #[expect(clippy::new_without_default, reason = "called by generated code only")]
    pub fn new() -> Self {
        Text(PhantomData)
    }
}

impl<T: FromStr<Err: Display>> Text<T> {
    /// Reads the value, and gives it to the setting.
    ///
    /// # Errors
    /// When the text is none.
    pub fn give(
        &self,
        settings: &mut Settings,
        name: &'static str,
        text: &str,
    ) -> Result<(), Problem>
    where
        T: Setting,
    {
        let value: T = text.parse().map_err(|error: T::Err| {
            Problem::new(format!("the setting `{name}` cannot be `{text}`"))
                .detail(error.to_string())
                .hint(hint_of::<T>(name))
        })?;
        settings.put(name, value);
        Ok(())
    }
}

/// Says of which type a setting is, with an example where its type is a usual one.
fn hint_of<T>(name: &str) -> String {
    let short = short_name(std::any::type_name::<T>());
    let example = match &*short {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "42",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "-42",
        "f32" | "f64" => "0.5",
        "bool" => "true",
        "char" => "x",
        "Gap" | "Size" | "Lateness" | "Leap" => "30m",
        "EventTime" => "2024-03-13T10:21:14Z",
        _ => return format!("`{name}` is a `{short}`"),
    };
    format!("`{name}` is a `{short}`, like `--set {name}={example}`")
}

/// The name of a type without the modules of its parts.
fn short_name(full: &str) -> String {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let parts = full.split_inclusive(|c| !is_of_path(c));
    parts.filter_map(|part| part.rsplit("::").next()).collect()
}

/// What [`Text`] does where its type cannot be read from text.
pub trait NoText<T> {
    /// Says so.
    ///
    /// # Errors
    /// Always.
    fn give(&self, settings: &mut Settings, name: &str, text: &str) -> Result<(), Problem>;
}

impl<T> NoText<T> for Text<T> {
    fn give(&self, _: &mut Settings, name: &str, _: &str) -> Result<(), Problem> {
        let type_name = std::any::type_name::<T>();
        Err(
            Problem::new(format!("the setting `{name}` cannot be given as text"))
                .detail(format!("`{type_name}` does not implement `FromStr`"))
                .hint(match &*short_name(type_name) {
                    "Duration" => format!(
                        "give it in the program, `.{name}(…)`, or take a `Gap` or a `Size`: \
                         `--set {name}=30m`"
                    ),
                    _ => format!("give it in the program: `.{name}(…)`"),
                }),
        )
    }
}

/// Says that a pipeline has no setting of a name.
///
/// # Errors
/// Always.
pub fn no_setting(outline: &Outline, name: &str) -> Result<(), Problem> {
    let problem = Problem::new(format!("the pipeline has no setting `{name}`"));
    let names = outline.settings.iter();
    let names: Vec<_> = names.map(|setting| format!("`{}`", setting.name)).collect();
    Err(match names.is_empty() {
        true => problem.hint("it has no settings"),
        false => problem.hint(format!("its settings are {}", names.join(", "))),
    })
}

/// A job whose ports and settings are still being given.
#[must_use = "a job does nothing before it is run"]
pub struct Draft {
    job: Job,
    settings: Arc<Mutex<Settings>>,
}

impl Draft {
    /// Begins a job of a pipeline.
    pub fn new(
        outline: &'static Outline,
        settings: Settings,
        build: fn(&Graph, &Settings),
        set: SetByText,
    ) -> Self {
        let settings = Arc::new(Mutex::new(settings));
        let given = settings.clone();
        let job = Job::new(outline.name, move |graph| {
            let settings = lock(&given).clone();
            graph.begin_own();
            build(graph, &settings);
        });
        let by_text = SettingsByText {
            settings: settings.clone(),
            set,
        };
        let job = job.outlined(outline, by_text);
        Draft { job, settings }
    }

    /// Changes the job.
    pub fn map(mut self, change: impl FnOnce(Job) -> Job) -> Self {
        self.job = change(self.job);
        self
    }

    /// Gives a setting its value.
    pub fn set<T: Setting>(self, name: &'static str, value: T) -> Self {
        lock(&self.settings).put(name, value);
        self
    }
}

fn lock(settings: &Mutex<Settings>) -> MutexGuard<'_, Settings> {
    settings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test whose inputs and settings are still being given.
#[must_use = "a test does nothing before its rows are asked for"]
pub struct TestDraft {
    draft: Draft,
    /// The records of each input, a vector, by its name.
    inputs: Vec<(&'static str, Box<dyn Any>)>,
}

impl TestDraft {
    /// Begins a test.
    pub fn new(draft: Draft) -> Self {
        let inputs = Vec::new();
        TestDraft { draft, inputs }
    }

    /// Gives an input its records.
    pub fn input<T: 'static>(
        mut self,
        name: &'static str,
        records: impl IntoIterator<Item = T>,
    ) -> Self {
        let records: Vec<T> = records.into_iter().collect();
        self.inputs.push((name, Box::new(records)));
        self
    }

    /// Gives a setting its value.
    pub fn set<T: Setting>(mut self, name: &'static str, value: T) -> Self {
        self.draft = self.draft.set(name, value);
        self
    }

    /// The values of the settings.
    pub fn settings(&self) -> Settings {
        lock(&self.draft.settings).clone()
    }

    /// Takes the records of an input.
    pub fn take<T: 'static>(&mut self, name: &str) -> Vec<T> {
        let at = self.inputs.iter().position(|(input, _)| *input == name);
        let records = at.map(|at| self.inputs.swap_remove(at).1);
        let records = records.and_then(|records| records.downcast().ok());
        records.map_or_else(Vec::new, |records| *records)
    }

    /// Reads the records of an input.
    pub fn source<T: Clone + Send + Sync + 'static>(mut self, name: &str) -> Self {
        let source = io::vec(self.take::<T>(name));
        self.draft = self.draft.map(|job| job.source(name, source));
        self
    }

    /// Gathers the rows of an output.
    pub fn sink<T: Send + 'static>(mut self, name: &str) -> (Self, io::Rows<T>) {
        let (sink, rows) = io::collect();
        self.draft = self.draft.map(|job| job.sink(name, sink));
        (self, rows)
    }

    /// Runs the test. Its clock is driven by hand, so that the times of a small example may lie
    /// around 1970.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(self, mode: Mode) {
        if let Err(error) = self.draft.job.clock(Clock::by_hand()).run(mode) {
            panic!("the job failed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_without_modules() {
        let told = hint_of::<Vec<(String, Option<std::time::Duration>)>>("times");
        assert_eq!(told, "`times` is a `Vec<(String, Option<Duration>)>`");
        assert_eq!(short_name("&str"), "&str");
    }
}
