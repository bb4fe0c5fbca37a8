//! A job: a pipeline, and everything that is no business of the pipeline's.

use std::fmt;
mod discovery;
mod end;
mod endless;
mod guarantee;
mod handle;
mod keeper;
mod ports;
mod report;
mod restarts;
mod share;
mod start;
mod warnings;
pub(crate) mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::WorkerConfig;

use self::discovery::Looking;
use self::endless::Endless;
pub use self::guarantee::Guarantee;
use self::handle::{Again, Running};
pub use self::handle::{Handle, Stop};
use self::keeper::Keeper;
pub use self::keeper::StateReport;
pub use self::report::{Counts, Outcome, Report};
pub use self::restarts::Restarts;
pub use self::share::{ParseShareError, Share};
#[cfg(all(feature = "cli", feature = "state"))]
pub(crate) use self::start::{lanes, was_of};
use self::warnings::Limits;
pub use self::warnings::{Lost, Warning};
use self::worker::Team;
use crate::engine::abort::Abort;
use crate::engine::bindings::{Bindings, BoundSink, BoundSource};
use crate::engine::epochs::Epochs;
use crate::engine::local::Shared;
use crate::engine::sides::Sides;
use crate::engine::tap::Tap;
use crate::engine::timing::Timing;
use crate::engine::turns::Turns;
use crate::engine::{Mode, Wait};
use crate::error::{Error, Problem};
use crate::graph::{Graph, GraphSpec, Outline};
use crate::io::{Sink, Source};
use crate::observe::{Counters, Watermarks};
use crate::state::checkpoint::Checkpoints;
use crate::state::store::{Session, TRIES, Wish};
use crate::state::{Snapshot, StateStore};
use crate::time::{Clock, Leap};

/// How many workers a job may have.
pub(crate) const WORKERS_MAX: usize = 256;

/// A pipeline with its sources and sinks, ready to run in any mode.
///
/// Mistakes in how it is put together are told when it is started, all of them before anything is
/// read.
///
/// ```
/// use stream_core::{Job, Mode, io, ops::Entry};
///
/// for mode in ["batch", "micro-batch=1records", "per-record"] {
///     let (counts, rows) = io::collect::<Entry<u64, u64>>();
///     let job = Job::new("parity", |graph| {
///         let numbers = graph.input::<u64>("numbers");
///         graph.output("counts", numbers.key_by(|n| n % 2).count());
///     });
///     job.source("numbers", io::vec((0..5_u64).collect()))
///         .sink("counts", counts)
///         .run(mode.parse::<Mode>()?)?;
///     let mut rows = rows.take();
///     rows.sort();
///     assert_eq!(rows, [Entry { key: 0, value: 3 }, Entry { key: 1, value: 2 }], "{mode}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a job does nothing before it is run"]
pub struct Job {
    name: String,
    pipeline: Arc<Pipeline>,
    bindings: Bindings,
    workers: usize,
    wait: Wait,
    clock: Clock,
    /// How many records of each partition are read at most.
    limit: Option<u64>,
    /// How far a record may leap, whatever the pipeline says.
    leap: Option<Leap>,
    /// How many records may be late and bad.
    limits: Limits,
    start: Snapshot,
    /// Where its state is kept, and how often a checkpoint is made while it runs.
    state: Option<StateStore>,
    interval: Option<Duration>,
    restarts: Restarts,
    guarantee: Guarantee,
    /// The checkpoint to start from, and the stages whose state is forgotten.
    from: Option<u64>,
    dropped: Vec<String>,
    /// The settings of the pipeline, where it is told as a `#[pipeline]`.
    settings: Option<Arc<dyn Settings>>,
    /// The pipeline as it is written, where that is known.
    outline: Option<&'static Outline>,
    /// What takes the place of every sink.
    tap: Option<Arc<dyn Tap>>,
    /// Who listens to when records are planned, and when they are through.
    timing: Option<Arc<dyn Timing>>,
    /// The first mistake that a setter found.
    mistake: Option<Problem>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

pub(crate) type Pipeline = dyn Fn(&Graph) + Send + Sync;

/// The settings of a pipeline, by name.
pub(crate) trait Settings: Send + Sync {
    /// Gives one its value, told by text.
    fn set(&self, name: &str, text: &str) -> Result<(), Problem>;

    /// Whether one has a value.
    #[cfg(feature = "cli")]
    fn has(&self, name: &str) -> bool;
}

/// The pipeline, and the description that every worker's copy must have.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) spec: GraphSpec,
}

impl Job {
    /// Makes a job of a pipeline. The function is called once on every worker, and must build the
    /// same graph each time.
    pub fn new(name: &str, pipeline: impl Fn(&Graph) + Send + Sync + 'static) -> Self {
        Job {
            name: name.to_owned(),
            pipeline: Arc::new(pipeline),
            bindings: Bindings::default(),
            workers: 1,
            wait: Wait::Park,
            clock: Clock::machine(),
            limit: None,
            leap: None,
            limits: Limits::default(),
            start: Snapshot::default(),
            state: None,
            interval: None,
            restarts: Restarts::default(),
            guarantee: Guarantee::default(),
            from: None,
            dropped: Vec::new(),
            settings: None,
            outline: None,
            tap: None,
            timing: None,
            mistake: None,
        }
    }

    /// Says how the pipeline is written, and what its settings are.
    pub(crate) fn outlined(
        mut self,
        outline: &'static Outline,
        settings: impl Settings + 'static,
    ) -> Self {
        self.outline = Some(outline);
        self.settings = Some(Arc::new(settings));
        self
    }

    /// Whether a setting of the pipeline has a value.
    #[cfg(feature = "cli")]
    pub(crate) fn has_setting(&self, name: &str) -> bool {
        self.settings
            .as_ref()
            .is_some_and(|settings| settings.has(name))
    }

    /// The pipeline as it is written, where that is known.
    #[cfg(feature = "cli")]
    pub(crate) fn outline(&self) -> Option<&'static Outline> {
        self.outline
    }

    /// Gives a setting of the pipeline its value by text, as `--set name=value` does.
    ///
    /// # Errors
    /// When there is no such setting, or the text is no value of it.
    ///
    /// ```
    /// use stream_core::Job;
    ///
    /// let error = Job::new("job", |_| {}).set("least", "3").unwrap_err();
    /// assert!(error.to_string().contains("has no setting `least`"));
    /// ```
    pub fn set(self, name: &str, text: &str) -> Result<Self, Error> {
        self.set_by_text(name, text)?;
        Ok(self)
    }

    /// As [`set`](Job::set), for who has borrowed the job.
    pub(crate) fn set_by_text(&self, name: &str, text: &str) -> Result<(), Error> {
        let done = match &self.settings {
            Some(settings) => settings.set(name, text),
            None => Err(
                Problem::new(format!("the pipeline has no setting `{name}`"))
                    .hint("settings are the parameters of a function with `#[pipeline]`"),
            ),
        };
        done.map_err(Error::Plan)
    }

    /// Binds a source to an input port.
    pub fn source<T: 'static>(mut self, port: &str, source: impl Source<T>) -> Self {
        let source: Arc<dyn Source<T>> = Arc::new(source);
        if self
            .bindings
            .sources
            .insert(port.to_owned(), BoundSource::new(source))
            .is_some()
        {
            self.twice("source", port);
        }
        self
    }

    /// Binds a sink to an output port.
    pub fn sink<T: 'static>(mut self, port: &str, sink: impl Sink<T>) -> Self {
        let sink: Arc<dyn Sink<T>> = Arc::new(sink);
        if self
            .bindings
            .sinks
            .insert(port.to_owned(), BoundSink::new(sink))
            .is_some()
        {
            self.twice("sink", port);
        }
        self
    }

    /// Sets the number of workers, each a thread; 1 unless told otherwise.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets what workers do while they have nothing to do, as `--wait` does.
    /// ([`Handle::wait`] is another thing: it waits for the end of the job.)
    pub fn idle(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the clock, so that a test can drive it by hand.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Reads at most so many records of each partition, good and bad, and then ends as if there
    /// were no more. Every run reads the same ones. A job with a limit gives no snapshot when it is
    /// stopped: to what lies behind a partition's quota its input has ended, but it has not.
    ///
    /// ```
    /// use stream_core::{Job, Mode, io};
    ///
    /// let (sink, rows) = io::collect::<u64>();
    /// Job::new("first", |graph| {
    ///     let numbers = graph.input::<u64>("numbers");
    ///     graph.output("numbers", numbers);
    /// })
    /// .source("numbers", io::partitions(vec![vec![1_u64, 2, 3], vec![4]]))
    /// .sink("numbers", sink)
    /// .limit(2)
    /// .run(Mode::Batch)?;
    /// let mut rows = rows.take();
    /// rows.sort();
    /// assert_eq!(rows, [1, 2, 4]);
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn limit(mut self, records: u64) -> Self {
        self.limit = Some(records);
        self
    }

    /// Sets how far a record may leap ahead of its lane, for all stages of the pipeline and whatever
    /// they say; a first record may be as far behind the wall clock, if that is more than 50 years.
    /// What [`event_time`](crate::graph::Stream::event_time) says of bad records tells more.
    ///
    /// ```
    /// use stream_core::{EventTime, Job, Lateness, Leap, Mode, io};
    ///
    /// let (sink, rows) = io::collect::<i64>();
    /// Job::new("births", |graph| {
    ///     let years = graph.input::<i64>("years");
    ///     let day = |year: &i64| EventTime::secs((year - 1970) * 31_557_600);
    ///     graph.output("timed", years.event_time(day, Lateness::secs(0)).0);
    /// })
    /// .source("years", io::vec(vec![1815_i64, 1906, 1912]))
    /// .sink("timed", sink)
    /// .max_leap(Leap::years(1_000))
    /// .run(Mode::Batch)?;
    /// assert_eq!(rows.take(), [1815, 1906, 1912]);
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn max_leap(mut self, leap: Leap) -> Self {
        self.leap = Some(leap);
        self
    }

    /// Sets how many of an input's records may be late: what is over it is told as a
    /// [`Warning`] with its limit, and [`Report::is_within_limits`] is false. The job runs to its end
    /// and commits its sinks all the same; the command line then ends with exit code 3. Records that
    /// are overtaken count apart, and by the same limit.
    ///
    /// Without a limit, more than one in a hundred are told.
    ///
    /// ```
    /// use stream_core::run::{Lost, Share};
    /// use stream_core::{EventTime, Job, Lateness, Leap, Mode, io};
    ///
    /// let job = Job::new("timed", |graph| {
    ///     let seconds = graph.input::<i64>("seconds");
    ///     let at = |second: &i64| EventTime::secs(*second);
    ///     graph.output("timed", seconds.event_time(at, Lateness::secs(5).leap(Leap::ANY)).0);
    /// });
    /// let report = job
    ///     .source("seconds", io::vec(vec![100_i64, 40, 101]))
    ///     .sink::<i64>("timed", io::discard())
    ///     .max_late(Share::percent(5.0))
    ///     .run(Mode::Batch)?;
    /// assert!(!report.is_within_limits());
    /// let warning = &report.warnings[0];
    /// assert_eq!((warning.lost, warning.count, warning.total), (Lost::Late, 1, 3));
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn max_late(mut self, share: Share) -> Self {
        self.limits.late = Some(share);
        self
    }

    /// Sets how many of an input's records may be bad; as [`max_late`](Job::max_late). It counts
    /// those that are skipped or written as dead letters, for one that fails the job ends it.
    pub fn max_bad(mut self, share: Share) -> Self {
        self.limits.bad = Some(share);
        self
    }

    /// Starts from the state of a job that was stopped, on any number of workers.
    pub fn start_from(mut self, snapshot: Snapshot) -> Self {
        self.start = snapshot;
        self
    }

    /// Keeps the job's state in a store: it goes on from the last checkpoint there, and makes
    /// another one when it stops and when it ends, and at the [interval](Job::checkpoint_interval).
    ///
    /// ```
    /// use stream_core::run::StateStore;
    /// use stream_core::{Job, Mode, io};
    ///
    /// let store = StateStore::memory();
    /// let (sink, rows) = io::collect::<u64>();
    /// let log = io::MemoryLog::new(1);
    /// log.append(0, 0..5_u64)?;
    /// log.close();
    /// let job = || Job::new("copy", |graph| graph.output("out", graph.input::<u64>("in")));
    /// job().source("in", log.clone()).sink("out", sink).state(store.clone()).run(Mode::Batch)?;
    /// assert_eq!(rows.take(), [0, 1, 2, 3, 4]);
    /// // All of it was read, and nothing is read again.
    /// let (sink, rows) = io::collect::<u64>();
    /// job().source("in", log).sink("out", sink).state(store).run(Mode::Batch)?;
    /// assert!(rows.take().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state(mut self, store: StateStore) -> Self {
        self.state = Some(store);
        self
    }

    /// Makes a checkpoint so often while the job runs, if it [keeps its state](Job::state). What a
    /// crash makes it do again is what came since the last one.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Starts the job once more when it fails, from its last checkpoint. It must
    /// [keep its state](Job::state). What fails for good (a job that is put together wrongly, a record that
    /// cannot be read, another run that has taken over) ends it at once.
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    /// Says what the job promises if it [keeps its state](Job::state): exactly once, unless told
    /// otherwise.
    ///
    /// ```
    /// use stream_core::run::{Guarantee, StateStore};
    /// use stream_core::{Job, Mode, io};
    ///
    /// let (sender, source) = io::channel(8);
    /// let (sink, rows) = io::collect::<u64>();
    /// let job = Job::new("copy", |graph| graph.output("out", graph.input::<u64>("in")))
    ///     .source("in", source)
    ///     .sink("out", sink)
    ///     .state(StateStore::memory())
    ///     .guarantee(Guarantee::AtLeastOnce)
    ///     .start(Mode::PerRecord)?;
    /// assert!(job.caveats()[0].starts_with("`in` comes from a channel, which gives nothing again"));
    /// sender.send(1_u64)?;
    /// drop(sender);
    /// job.wait()?;
    /// assert_eq!(rows.take(), [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// Starts from an earlier checkpoint than the last one: what lies behind it is given up, and its rows
    /// come again. A job that is told so goes back each time it is started;
    /// [`StateStore::go_back_to`] does it once.
    pub fn from_checkpoint(mut self, number: u64) -> Self {
        self.from = Some(number);
        self
    }

    /// Forgets the state of a stage that has been removed from the pipeline, or is to begin with
    /// nothing; as [`StateStore::drop_stages`].
    pub fn drop_state(mut self, stage: &str) -> Self {
        self.dropped.push(stage.to_owned());
        self
    }

    /// The same job once more, with a tap in place of all its sinks, those of dead letters too.
    ///
    /// # Errors
    /// When a setter found a mistake.
    #[cfg(feature = "cli")]
    pub(crate) fn tapped(&mut self, tap: Arc<dyn Tap>) -> Result<Job, Error> {
        if let Some(mistake) = self.mistake.take() {
            return Err(Error::Plan(mistake));
        }
        let mut job = self.again();
        for source in job.bindings.sources.values_mut() {
            if let crate::io::BadRecords::DeadLetter(_) = source.bad_records {
                source.bad_records = crate::io::BadRecords::Skip;
            }
        }
        (job.tap, job.timing) = (Some(tap), None);
        (job.state, job.interval) = (None, None);
        job.restarts = Restarts::default();
        Ok(job)
    }

    /// The same job once more.
    fn again(&self) -> Job {
        Job {
            name: self.name.clone(),
            pipeline: self.pipeline.clone(),
            bindings: self.bindings.clone(),
            workers: self.workers,
            wait: self.wait,
            clock: self.clock.clone(),
            limit: self.limit,
            leap: self.leap,
            limits: self.limits,
            start: self.start.clone(),
            state: self.state.clone(),
            interval: self.interval,
            restarts: self.restarts,
            guarantee: self.guarantee,
            from: None,
            dropped: Vec::new(),
            settings: self.settings.clone(),
            outline: self.outline,
            tap: self.tap.clone(),
            timing: self.timing.clone(),
            mistake: None,
        }
    }

    /// Lets somebody listen to when records are planned, and when they are through.
    #[cfg(feature = "cli")]
    pub(crate) fn timed(mut self, timing: Arc<dyn Timing>) -> Job {
        self.timing = Some(timing);
        self
    }

    /// Gives the records of every source that can be paced at a rate. Tells how many sources that are.
    #[cfg(feature = "cli")]
    pub(crate) fn pace(&mut self, per_second: f64) -> usize {
        let sources = self.bindings.sources.values_mut();
        let paced =
            sources.filter(|source| source.info.boundedness != crate::io::Boundedness::UntilClosed);
        paced
            .map(|source| *source = source.paced(per_second))
            .count()
    }

    /// What is bound to the ports.
    #[cfg(feature = "cli")]
    pub(crate) fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// The same, to be changed.
    pub(crate) fn bindings_mut(&mut self) -> &mut Bindings {
        &mut self.bindings
    }

    /// The number of workers.
    #[cfg(feature = "cli")]
    pub(crate) fn worker_count(&self) -> usize {
        self.workers
    }

    /// How its workers wait.
    #[cfg(feature = "cli")]
    pub(crate) fn way_to_wait(&self) -> Wait {
        self.wait
    }

    /// How many records may be late, and bad.
    #[cfg(feature = "cli")]
    pub(crate) fn shares(&self) -> [Option<Share>; 2] {
        [self.limits.late, self.limits.bad]
    }

    /// How many records of each partition are read at most.
    #[cfg(feature = "cli")]
    pub(crate) fn records_limit(&self) -> Option<u64> {
        self.limit
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Describes the pipeline.
    ///
    /// # Errors
    /// When the pipeline's function has made a mistake, such as a window of size 0.
    pub fn explain(&self) -> Result<GraphSpec, Error> {
        self.plan().map(|plan| plan.spec)
    }

    /// Runs the job to its end. One that writes to a [`to_channel`](crate::io::to_channel) needs a reader
    /// on another thread: it waits while the channel is full.
    ///
    /// # Errors
    /// When the job is put together wrongly, or what it reads, computes or writes fails. Then no
    /// sink is committed.
    pub fn run(self, mode: Mode) -> Result<Report, Error> {
        self.start(mode)?.wait()
    }

    /// Starts the job on threads of its own.
    ///
    /// # Errors
    /// When the job is put together wrongly, or a source cannot be found.
    pub fn start(self, mode: Mode) -> Result<Handle, Error> {
        let (workers, restarts) = (self.workers, self.restarts);
        let again = (restarts.attempts > 0).then(|| Again {
            job: self.again(),
            mode,
            restarts,
        });
        let running = self.begin(mode)?;
        Ok(Handle::new(running, workers, again))
    }

    /// Starts the workers.
    fn begin(mut self, mode: Mode) -> Result<Running, Error> {
        let plan = Arc::new(self.plan()?);
        self.check(&plan.spec, mode)?;
        let record_by_record = mode.goes_record_by_record();
        for (port, source) in &mut self.bindings.sources {
            source
                .connect(record_by_record)
                .map_err(Error::in_source(port))?;
        }
        for (port, sink) in &mut self.bindings.sinks {
            sink.connect(record_by_record)
                .map_err(Error::in_sink(port))?;
        }
        let session = self.find_start(&plan.spec)?;
        let stored = session.as_ref().map(Session::reader);
        let new = session.as_ref().map_or_else(String::new, |session| {
            start::new_stages(&self.start, &plan.spec, session.dropped())
        });
        let event_time = start::event_time(&self.start, &plan.spec, stored.as_ref());
        let event_time = event_time.map_err(Error::State)?;
        if session.is_some() || self.start.number > 0 {
            self.bindings.recover(&self.start)?;
        }
        let mut caveats = Vec::new();
        if self.tap.is_none() {
            if session.is_some() {
                caveats = guarantee::caveats(&self.bindings);
            }
            caveats.extend(Endless::of(&self.bindings, self.limit, &plan.spec).growing());
        }
        let sides = plan.spec.read_before(mode == Mode::Batch);
        let sides = sides.map_err(Error::Plan)?;
        let sides = Sides::new(sides, self.workers);
        let sources = self.bindings.sources();
        let sources = sources
            .map(|(_, source)| source.workers(self.workers))
            .sum();
        let abort = Abort::default();
        let shared = Shared {
            bindings: Arc::new(self.bindings),
            mode,
            clock: self.clock,
            epochs: Epochs::new(mode, self.start.epoch, sources),
            checkpoints: Checkpoints::new(self.start, stored, self.workers),
            turns: Turns::new(self.workers, abort.clone()),
            abort,
            counters: Counters::default(),
            watermarks: Watermarks::default(),
            sides,
            limit: self.limit,
            leap: self.leap,
            tap: self.tap,
            timing: self.timing,
        };
        let wait = self.wait;
        let limits = self.limits;
        let team = Team {
            plan,
            wait,
            limits,
            settled: Arc::default(),
            shared,
        };
        let communication = match self.workers {
            1 => timely::CommunicationConfig::Thread,
            workers => timely::CommunicationConfig::Process(workers),
        };
        let config = timely::Config {
            communication,
            worker: WorkerConfig::default(),
        };
        let started = Instant::now();
        let workers = team.clone();
        let guards = timely::execute(config, move |worker| worker::work(worker, &workers))
            .map_err(|text| Error::Engine(Problem::new("the workers cannot start").detail(text)))?;
        let from = session
            .as_ref()
            .map(|session| session.told() + &event_time + &new);
        let keep = |session| Keeper::start(session, self.interval, team.clone());
        let keeper = session.map(keep).transpose();
        let keeper = keeper.unwrap_or_else(|error| {
            team.shared.abort.fail(error);
            None
        });
        let looking = Looking::start(&team);
        Ok(Running {
            guards,
            team,
            keeper,
            looking,
            from,
            caveats,
            started,
        })
    }

    /// Finds where the job starts, and takes its state over from any run before: only once it is known to fit,
    /// so that a run which is refused ends no other.
    fn find_start(&mut self, spec: &GraphSpec) -> Result<Option<Session>, Error> {
        let Some(store) = self.state.clone() else {
            self.find_partitions()?;
            start::prepare(&mut self.start, spec, &self.bindings, None).map_err(Error::Plan)?;
            return Ok(None);
        };
        for _ in 0..TRIES {
            let wish = Wish {
                job: &self.name,
                workers: self.workers,
                from: self.from,
                dropped: &self.dropped,
            };
            let mut session = store.open(&wish).map_err(Error::State)?;
            self.start = session.start().map_err(Error::State)?;
            // A run that is at work may have found partitions that it has read from since.
            self.find_partitions()?;
            let stored = session.reader();
            let prepared = start::prepare(&mut self.start, spec, &self.bindings, Some(&stored));
            if let Err(problem) = prepared {
                // What that run has removed meanwhile is not damaged.
                if session.is_behind().map_err(Error::State)? {
                    continue;
                }
                return Err(Error::Plan(problem));
            }
            if let Some(finished) = session.finished() {
                start::check_nothing_new(finished, &self.start, &self.bindings)
                    .map_err(Error::Plan)?;
            }
            if session.claim().map_err(Error::State)? {
                session.begin()?;
                return Ok(Some(session));
            }
        }
        Err(Error::State(
            Problem::new("the state cannot be opened")
                .detail("other runs add to its log all the time")
                .hint("let one run of the job have it"),
        ))
    }

    fn find_partitions(&mut self) -> Result<(), Error> {
        let looks_for_more = self.limit.is_none();
        for (port, source) in &mut self.bindings.sources {
            source
                .find_partitions(looks_for_more)
                .map_err(Error::in_source(port))?;
        }
        self.bindings.check_sources().map_err(Error::Plan)
    }

    fn plan(&self) -> Result<Plan, Error> {
        let graph = build(&self.name, &*self.pipeline)?;
        if let Some(problem) = graph.take_problem() {
            return Err(Error::Plan(problem));
        }
        let spec = graph.spec();
        spec.read_before(false).map_err(Error::Plan)?;
        Ok(Plan {
            name: self.name.clone(),
            pipeline: self.pipeline.clone(),
            spec,
        })
    }

    /// Checks everything that can be known before anything is read.
    fn check(&mut self, spec: &GraphSpec, mode: Mode) -> Result<(), Error> {
        if let Some(mistake) = self.mistake.take() {
            return Err(Error::Plan(mistake));
        }
        self.check_settings(mode).map_err(Error::Plan)?;
        spec.read_before(mode == Mode::Batch).map_err(Error::Plan)?;
        ports::check(spec, &self.bindings).map_err(Error::Plan)?;
        self.check_state().map_err(Error::Plan)?;
        self.bindings.check_sinks().map_err(Error::Plan)?;
        let endless = Endless::of(&self.bindings, self.limit, spec);
        endless.check(mode).map_err(Error::Plan)
    }

    fn check_settings(&self, mode: Mode) -> Result<(), Problem> {
        if self.workers == 0 || self.workers > WORKERS_MAX {
            return Err(
                Problem::new(format!("a job cannot have {} workers", self.workers)).hint(format!(
                    "give it 1 to {WORKERS_MAX}; as many as there are cores is usual"
                )),
            );
        }
        mode.check().map_err(|error| error.problem())
    }

    /// Checks that state can be kept, if it is to be.
    pub(crate) fn check_state(&self) -> Result<(), Problem> {
        if self.state.is_none() {
            if self.restarts.attempts > 0 {
                return Err(
                    Problem::new("a job that keeps no state is not started once more")
                        .detail("what it had done would be done again")
                        .hint("say where the state is kept: `Job::state`, `--state`"),
                );
            }
            if self.from.is_some() || !self.dropped.is_empty() {
                return Err(
                    Problem::new("the job would start from other state, and has none")
                        .hint("say where the state is kept: `Job::state`, `--state`"),
                );
            }
            return match self.interval {
                None => Ok(()),
                Some(_) => Err(
                    Problem::new("there is an interval of checkpoints, and no state")
                        .hint("say where the state is kept: `Job::state`, `--state`"),
                ),
            };
        }
        if self.start.number > 0 {
            return Err(Problem::new("the job would start from two states")
                .detail("it has a store of state, and a snapshot to start from")
                .hint("give it one of them"));
        }
        if self.limit.is_some() {
            return Err(Problem::new("a job with a limit keeps no state")
                .detail("what lies behind the limit would be taken for the end of its input")
                .hint("run it without the limit, or without state"));
        }
        if self.interval == Some(Duration::ZERO) {
            return Err(Problem::new("checkpoints cannot come without a pause")
                .hint("give them an interval, such as 10s"));
        }
        guarantee::check(self.guarantee, &self.bindings)
    }

    fn twice(&mut self, what: &str, port: &str) {
        let problem = Problem::new(format!("port `{port}` has two {what}s"))
            .hint(format!("bind one {what} to each port"));
        self.mistake.get_or_insert(problem);
    }
}

/// Calls the pipeline's function.
pub(crate) fn build(name: &str, pipeline: &Pipeline) -> Result<Graph, Error> {
    crate::engine::guard::caught(|| Graph::build(name, pipeline)).map_err(|panic| {
        let place = panic.place;
        let what = format!("the function of the pipeline `{name}` panicked at {place}");
        Error::Plan(Problem::new(what).detail(panic.message))
    })
}
