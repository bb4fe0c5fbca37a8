//! What the code of `#[pipeline]` is made of, beside the fluent API: clones of handles, settings,
//! and the state of a builder. Nothing here is to be called by hand.

use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::graph::Graph;
use crate::time::Clock;
use crate::{Job, Mode, Problem};

/// The state of a port or a setting that must still be given.
pub enum NotBound {}

/// The state of a port or a setting that has been given.
pub enum Bound {}

/// A pipeline that sources and sinks can be bound to.
#[diagnostic::on_unimplemented(
    message = "the pipeline `{Self}` is a part of others and has no job of its own",
    label = "it takes or returns a handle that no source gives and no sink takes",
    note = "call its function in another pipeline, one that takes `Stream`s and returns streams or \
            tables"
)]
pub trait RunsAlone {}

/// The settings of one pipeline.
pub trait Settings {
    /// The names of the settings.
    const NAMES: &'static [&'static str];

    /// Gives one its value by text.
    ///
    /// # Errors
    /// When there is no such setting, or the text is no value of it.
    fn set(&mut self, name: &str, text: &str) -> Result<(), Problem>;
}

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
    /// Reads the value.
    ///
    /// # Errors
    /// When the text is none.
    pub fn read(&self, name: &str, text: &str) -> Result<T, Problem> {
        text.parse().map_err(|error: T::Err| {
            Problem::new(format!("the setting `{name}` cannot be `{text}`"))
                .detail(error.to_string())
                .hint(hint_of::<T>(name))
        })
    }
}

/// Says of which type a setting is, with an example where its type is a usual one.
fn hint_of<T>(name: &str) -> String {
    let type_name = std::any::type_name::<T>();
    let short = type_name.rsplit("::").next().unwrap_or(type_name);
    let example = match short {
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

/// What [`Text`] does where its type cannot be read from text.
pub trait NoText<T> {
    /// Says so.
    ///
    /// # Errors
    /// Always.
    fn read(&self, name: &str, text: &str) -> Result<T, Problem>;
}

impl<T> NoText<T> for Text<T> {
    fn read(&self, name: &str, _: &str) -> Result<T, Problem> {
        let type_name = std::any::type_name::<T>();
        Err(
            Problem::new(format!("the setting `{name}` cannot be given as text"))
                .detail(format!("`{type_name}` does not implement `FromStr`"))
                .hint(format!("give it in the program: `.{name}(…)`")),
        )
    }
}

/// Says that a pipeline has no setting of a name.
pub fn no_setting(name: &str, names: &[&str]) -> Problem {
    let problem = Problem::new(format!("the pipeline has no setting `{name}`"));
    if names.is_empty() {
        return problem.hint("it has no settings");
    }
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    problem.hint(format!("its settings are {}", names.join(", ")))
}

/// Notes that a setting was given neither in the program nor on the command line.
pub fn missing_setting(graph: &Graph, name: &str) {
    graph.problem(
        Problem::new(format!("the setting `{name}` has no value")).hint(format!(
            "give it one: `--set {name}=…`, or `.{name}(…)` in the program"
        )),
    );
}

/// Clones the value of a setting that the builder has seen given.
pub fn given<T: Clone>(value: &Option<T>, name: &str) -> T {
    let value = value.clone();
    value.unwrap_or_else(|| panic!("the builder has seen the setting `{name}` given"))
}

/// A job whose settings are still being given.
pub struct Draft<S> {
    job: Job,
    settings: Arc<Mutex<S>>,
}

impl<S: Settings + Clone + Send + Sync + 'static> Draft<S> {
    /// Begins a job of a pipeline.
    pub fn new(
        name: &str,
        settings: S,
        pipeline: impl Fn(&Graph, S) + Send + Sync + 'static,
    ) -> Self {
        let settings = Arc::new(Mutex::new(settings));
        let (given, told) = (settings.clone(), settings.clone());
        let job = Job::new(name, move |graph| {
            let settings = lock(&given).clone();
            pipeline(graph, settings);
        });
        let job = job.settings_by_text(move |name, text| lock(&told).set(name, text));
        Draft { job, settings }
    }
}

impl<S> Draft<S> {
    /// Changes the job.
    pub fn map(mut self, change: impl FnOnce(Job) -> Job) -> Self {
        self.job = change(self.job);
        self
    }

    /// Changes the settings.
    pub fn set(self, change: impl FnOnce(&mut S)) -> Self {
        change(&mut lock(&self.settings));
        self
    }

    /// The job as it is.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The job.
    pub fn into_job(self) -> Job {
        self.job
    }
}

fn lock<S>(settings: &Mutex<S>) -> MutexGuard<'_, S> {
    settings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the next pipeline to be called is the graph's own.
pub fn begin(graph: &Graph) {
    graph.begin_own();
}

/// Runs a job of a test. Its clock is driven by hand, so that the times of a small example may lie
/// around 1970.
///
/// # Panics
/// When it fails.
pub fn run_test(job: Job, mode: Mode) {
    if let Err(error) = job.clock(Clock::by_hand()).run(mode) {
        panic!("the job failed: {error}");
    }
}
