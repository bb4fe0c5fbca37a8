// What `#[pipeline]` makes of the lead example; `tests.rs` beside the sources of the macro has it as
// it is written, and checks that this is what comes of it.

/// Sessions of people, and the clicks that came too late.
#[allow(dead_code)]
///
///# Graph
///```mermaid
///flowchart TD
///  n0([clicks])
///  n1[filter]
///  n0 --> n1
///  n2[inspect]
///  n1 --> n2
///  n3[event_time]
///  n2 --> n3
///  n4[key_by]
///  n3 --> n4
///  n5[session]
///  n4 --> n5
///  n6([sessions])
///  n5 --> n6
///  n7([late])
///  n3 --> n7
///```
pub fn sessions(
    clicks: Stream<Click>,
    gap: Gap,
) -> (Timed<Windowed<u64, Session>>, Stream<Click>) {
    let scope = ::stream_core::__private::Scope::enter(&clicks, "sessions");
    scope.binding("people");
    let people = clicks.chain().filter(|click| !click.is_bot);
    scope.binding("timed");
    let (timed, late) = people
        .inspect({
            let gap = ::core::clone::Clone::clone(&gap);
            move |click| println!("{click:?}, and then {gap:?}")
        })
        .end()
        .event_time(|click| click.at, Lateness::secs(30));
    scope.binding("sessions");
    let sessions = timed
        .key_by(|click| click.user)
        .session(gap)
        .fold(Session::start, Session::extend, Session::merge);
    (sessions, late)
}
///The pipeline [`sessions`](fn@sessions) as an object: its graph, its jobs, its tests.
///
///A job of it has these methods, besides those of every job:
///
///- `.clicks(…)`: the input, a source of `Click`
///- `.gap(…)`: the setting, a `Gap`
///- `.sessions(…)`: the output, a sink of the rows of `Timed<Windowed<u64, Session>>`
///- `.late(…)`: the output, a sink of the rows of `Stream<Click>`
#[allow(non_camel_case_types, dead_code)]
pub struct sessions {}
#[allow(dead_code, missing_docs, non_local_definitions, unreachable_pub)]
#[allow(clippy::all, clippy::pedantic)]
const _: () = {
    impl sessions {
        /// The stages and ports of the pipeline, as far as they are known before types are.
        pub const GRAPH: ::stream_core::__private::Outline = ::stream_core::__private::Outline {
            name: "sessions",
            inputs: &[
                ::stream_core::__private::OutlinePort {
                    name: "clicks",
                    id: "sessions/clicks",
                    stream: "Stream<Click>",
                },
            ],
            settings: &[
                ::stream_core::__private::OutlineSetting {
                    name: "gap",
                    of: "Gap",
                    required: true,
                },
            ],
            stages: &[
                ::stream_core::__private::OutlineStage {
                    id: "sessions/people/filter",
                    binding: "people",
                    method: "filter",
                    reads: &["sessions/clicks"],
                },
                ::stream_core::__private::OutlineStage {
                    id: "sessions/timed/inspect",
                    binding: "timed",
                    method: "inspect",
                    reads: &["sessions/people/filter"],
                },
                ::stream_core::__private::OutlineStage {
                    id: "sessions/timed/event_time",
                    binding: "timed",
                    method: "event_time",
                    reads: &["sessions/timed/inspect"],
                },
                ::stream_core::__private::OutlineStage {
                    id: "sessions/sessions/key_by",
                    binding: "sessions",
                    method: "key_by",
                    reads: &["sessions/timed/event_time"],
                },
                ::stream_core::__private::OutlineStage {
                    id: "sessions/sessions/session",
                    binding: "sessions",
                    method: "session",
                    reads: &["sessions/sessions/key_by"],
                },
            ],
            outputs: &[
                ::stream_core::__private::OutlinePort {
                    name: "sessions",
                    id: "sessions/sessions/session",
                    stream: "Timed<Windowed<u64, Session>>",
                },
                ::stream_core::__private::OutlinePort {
                    name: "late",
                    id: "sessions/timed/event_time",
                    stream: "Stream<Click>",
                },
            ],
        };
        /// Begins a job: bind a source to each input and a sink to each output, then run it.
        pub fn job() -> SessionsJob<
            ::stream_core::__private::NotBound,
            ::stream_core::__private::NotBound,
            ::stream_core::__private::NotBound,
            ::stream_core::__private::NotBound,
        >
        where
            for<'any> Gap: ::stream_core::__private::Setting,
            for<'any> Timed<Windowed<u64, Session>>: ::stream_core::__private::Output,
            for<'any> Stream<Click>: ::stream_core::__private::Output,
        {
            SessionsJob {
                draft: draft(SessionsSettings {
                    gap: ::core::option::Option::None,
                    marker: ::core::marker::PhantomData,
                }),
                ports: ::core::marker::PhantomData,
            }
        }
        /// Begins a test: give each input a vector, then look at the rows of each output.
        pub fn test() -> SessionsTest<
            ::stream_core::__private::NotBound,
            ::stream_core::__private::NotBound,
        >
        where
            for<'any> Gap: ::stream_core::__private::Setting,
            for<'any> Timed<Windowed<u64, Session>>: ::stream_core::__private::Output,
            for<'any> Stream<Click>: ::stream_core::__private::Output,
        {
            SessionsTest {
                clicks: ::std::vec::Vec::new(),
                settings: SessionsSettings {
                    gap: ::core::option::Option::None,
                    marker: ::core::marker::PhantomData,
                },
                ports: ::core::marker::PhantomData,
            }
        }
    }
    fn is_setting<T: ::stream_core::__private::Setting>() {}
    fn check() {
        is_setting::<Gap>();
    }
    pub struct SessionsSettings {
        gap: ::core::option::Option<Gap>,
        marker: ::core::marker::PhantomData<fn() -> ()>,
    }
    impl ::core::clone::Clone for SessionsSettings
    where
        for<'any> Gap: ::stream_core::__private::Setting,
    {
        fn clone(&self) -> Self {
            SessionsSettings {
                gap: ::core::clone::Clone::clone(&self.gap),
                marker: ::core::marker::PhantomData,
            }
        }
    }
    impl ::stream_core::__private::Settings for SessionsSettings {
        const NAMES: &'static [&'static str] = &["gap"];
        fn set(
            &mut self,
            name: &str,
            text: &str,
        ) -> ::core::result::Result<(), ::stream_core::__private::Problem> {
            #[allow(unused_imports)]
            use ::stream_core::__private::NoText as _;
            match name {
                "gap" => {
                    let value = ::stream_core::__private::Text::<Gap>::new();
                    self.gap = ::core::option::Option::Some(value.read(name, text)?);
                    ::core::result::Result::Ok(())
                }
                _ => {
                    ::core::result::Result::Err(
                        ::stream_core::__private::no_setting(name, Self::NAMES),
                    )
                }
            }
        }
    }
    #[diagnostic::on_unimplemented(
        message = "the input `clicks` has no source",
        label = "give it one before this: `.clicks(source)`"
    )]
    pub trait ClicksBound {}
    impl ClicksBound for ::stream_core::__private::Bound {}
    #[diagnostic::on_unimplemented(
        message = "the input `clicks` has a source already",
        label = "leave out the second `.clicks(…)`"
    )]
    pub trait ClicksFree {}
    impl ClicksFree for ::stream_core::__private::NotBound {}
    #[diagnostic::on_unimplemented(
        message = "the setting `gap` has no value",
        label = "give it one before this: `.gap(value)`"
    )]
    pub trait GapBound {}
    impl GapBound for ::stream_core::__private::Bound {}
    #[diagnostic::on_unimplemented(
        message = "the output `sessions` has no sink",
        label = "give it one before this: `.sessions(sink)`"
    )]
    pub trait SessionsBound {}
    impl SessionsBound for ::stream_core::__private::Bound {}
    #[diagnostic::on_unimplemented(
        message = "the output `sessions` has a sink already",
        label = "leave out the second `.sessions(…)`"
    )]
    pub trait SessionsFree {}
    impl SessionsFree for ::stream_core::__private::NotBound {}
    #[diagnostic::on_unimplemented(
        message = "the output `late` has no sink",
        label = "give it one before this: `.late(sink)`"
    )]
    pub trait LateBound {}
    impl LateBound for ::stream_core::__private::Bound {}
    #[diagnostic::on_unimplemented(
        message = "the output `late` has a sink already",
        label = "leave out the second `.late(…)`"
    )]
    pub trait LateFree {}
    impl LateFree for ::stream_core::__private::NotBound {}
    fn draft(
        settings: SessionsSettings,
    ) -> ::stream_core::__private::Draft<SessionsSettings>
    where
        for<'any> Gap: ::stream_core::__private::Setting,
        for<'any> Timed<Windowed<u64, Session>>: ::stream_core::__private::Output,
        for<'any> Stream<Click>: ::stream_core::__private::Output,
    {
        ::stream_core::__private::Draft::new(
            "sessions",
            settings,
            |graph, settings| {
                ::stream_core::__private::begin(graph);
                let (output0, output1) = sessions(
                    graph.input::<Click>("clicks"),
                    match settings.gap {
                        ::core::option::Option::Some(value) => value,
                        ::core::option::Option::None => {
                            return ::stream_core::__private::missing_setting(
                                graph,
                                "gap",
                            );
                        }
                    },
                );
                graph.output("sessions", output0);
                graph.output("late", output1);
            },
        )
    }
    ///A job of the pipeline `sessions`.
    #[must_use = "a job does nothing before it is run"]
    pub struct SessionsJob<ClicksPort, GapSetting, SessionsPort, LatePort> {
        draft: ::stream_core::__private::Draft<SessionsSettings>,
        ports: ::core::marker::PhantomData<
            fn() -> (ClicksPort, GapSetting, SessionsPort, LatePort),
        >,
    }
    impl<
        ClicksPort,
        GapSetting,
        SessionsPort,
        LatePort,
    > SessionsJob<ClicksPort, GapSetting, SessionsPort, LatePort>
    where
        for<'any> Gap: ::stream_core::__private::Setting,
        for<'any> Timed<Windowed<u64, Session>>: ::stream_core::__private::Output,
        for<'any> Stream<Click>: ::stream_core::__private::Output,
    {
        ///Binds a source to the input `clicks`.
        pub fn clicks(
            self,
            source: impl ::stream_core::__private::Source<Click>,
        ) -> SessionsJob<
            ::stream_core::__private::Bound,
            GapSetting,
            SessionsPort,
            LatePort,
        >
        where
            ClicksPort: ClicksFree,
        {
            SessionsJob {
                draft: self.draft.map(|job| job.source::<Click>("clicks", source)),
                ports: ::core::marker::PhantomData,
            }
        }
        ///Gives the setting `gap` its value.
        pub fn gap(
            self,
            value: Gap,
        ) -> SessionsJob<
            ClicksPort,
            ::stream_core::__private::Bound,
            SessionsPort,
            LatePort,
        > {
            SessionsJob {
                draft: self
                    .draft
                    .set(|settings| {
                        settings.gap = ::core::option::Option::Some(value);
                    }),
                ports: ::core::marker::PhantomData,
            }
        }
        ///Binds a sink to the output `sessions`.
        pub fn sessions(
            self,
            sink: impl ::stream_core::__private::Sink<
                <Timed<Windowed<u64, Session>> as ::stream_core::__private::Output>::Row,
            >,
        ) -> SessionsJob<
            ClicksPort,
            GapSetting,
            ::stream_core::__private::Bound,
            LatePort,
        >
        where
            SessionsPort: SessionsFree,
        {
            SessionsJob {
                draft: self
                    .draft
                    .map(|job| {
                        job
                            .sink::<
                                <Timed<
                                    Windowed<u64, Session>,
                                > as ::stream_core::__private::Output>::Row,
                            >("sessions", sink)
                    }),
                ports: ::core::marker::PhantomData,
            }
        }
        ///Binds a sink to the output `late`.
        pub fn late(
            self,
            sink: impl ::stream_core::__private::Sink<
                <Stream<Click> as ::stream_core::__private::Output>::Row,
            >,
        ) -> SessionsJob<
            ClicksPort,
            GapSetting,
            SessionsPort,
            ::stream_core::__private::Bound,
        >
        where
            LatePort: LateFree,
        {
            SessionsJob {
                draft: self
                    .draft
                    .map(|job| {
                        job
                            .sink::<
                                <Stream<Click> as ::stream_core::__private::Output>::Row,
                            >("late", sink)
                    }),
                ports: ::core::marker::PhantomData,
            }
        }
        /// Gives a setting its value by text, as a command line does.
        pub fn set(
            self,
            name: &str,
            text: &str,
        ) -> ::core::result::Result<Self, ::stream_core::__private::Error> {
            self.draft.job().set_by_text(name, text).map(|()| self)
        }
        /// Sets the number of workers, each a thread; 1 unless told otherwise.
        pub fn workers(mut self, workers: usize) -> Self {
            self.draft = self.draft.map(|job| job.workers(workers));
            self
        }
        /// Sets how workers wait when they have nothing to do.
        pub fn wait(mut self, wait: ::stream_core::__private::Wait) -> Self {
            self.draft = self.draft.map(|job| job.wait(wait));
            self
        }
        /// Sets the clock, so that a test can drive it by hand.
        pub fn clock(mut self, clock: ::stream_core::__private::Clock) -> Self {
            self.draft = self.draft.map(|job| job.clock(clock));
            self
        }
        /// Sets how far a record may leap ahead of its lane, whatever the pipeline says.
        pub fn max_leap(mut self, leap: ::stream_core::__private::Leap) -> Self {
            self.draft = self.draft.map(|job| job.max_leap(leap));
            self
        }
        /// Starts from the state of a job that was stopped, on any number of workers.
        pub fn start_from(
            mut self,
            snapshot: ::stream_core::__private::Snapshot,
        ) -> Self {
            self.draft = self.draft.map(|job| job.start_from(snapshot));
            self
        }
        /// Describes the pipeline; no port needs to be bound for that.
        pub fn explain(
            &self,
        ) -> ::core::result::Result<
            ::stream_core::__private::GraphSpec,
            ::stream_core::__private::Error,
        >
        where
            GapSetting: GapBound,
        {
            self.draft.job().explain()
        }
        /// Gives the job with everything that is bound to it.
        pub fn into_job(self) -> ::stream_core::__private::Job
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            SessionsPort: SessionsBound,
            LatePort: LateBound,
        {
            self.draft.into_job()
        }
        /// Runs the job to its end.
        pub fn run(
            self,
            mode: ::stream_core::__private::Mode,
        ) -> ::core::result::Result<
            ::stream_core::__private::Report,
            ::stream_core::__private::Error,
        >
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            SessionsPort: SessionsBound,
            LatePort: LateBound,
        {
            self.draft.into_job().run(mode)
        }
        /// Starts the job on threads of its own.
        pub fn start(
            self,
            mode: ::stream_core::__private::Mode,
        ) -> ::core::result::Result<
            ::stream_core::__private::RunningJob,
            ::stream_core::__private::Error,
        >
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            SessionsPort: SessionsBound,
            LatePort: LateBound,
        {
            self.draft.into_job().start(mode)
        }
        ::stream_core::__private::with_cli! {
            #[doc =
            r" Runs the job as its command line says: the body of `main`. A setting that"]
            #[doc = r" is not given here is given there: `--set name=value`."] pub fn
            main(self) -> ::std::process::ExitCode where ClicksPort : ClicksBound,
            SessionsPort : SessionsBound, LatePort : LateBound { self.draft.into_job()
            .main() }
        }
    }
    ///A test of the pipeline `sessions`.
    #[must_use = "a test does nothing before its rows are asked for"]
    pub struct SessionsTest<ClicksPort, GapSetting> {
        clicks: ::std::vec::Vec<Click>,
        settings: SessionsSettings,
        ports: ::core::marker::PhantomData<fn() -> (ClicksPort, GapSetting)>,
    }
    ///The rows of `sessions`, by output.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SessionsRows<SessionsPort, LatePort> {
        pub sessions: ::std::vec::Vec<SessionsPort>,
        pub late: ::std::vec::Vec<LatePort>,
    }
    impl<ClicksPort, GapSetting> SessionsTest<ClicksPort, GapSetting>
    where
        for<'any> Gap: ::stream_core::__private::Setting,
        for<'any> Timed<Windowed<u64, Session>>: ::stream_core::__private::Output,
        for<'any> Stream<Click>: ::stream_core::__private::Output,
    {
        ///Gives the input `clicks` its records, in the order of their arrival.
        pub fn clicks(
            self,
            records: impl ::core::iter::IntoIterator<Item = Click>,
        ) -> SessionsTest<::stream_core::__private::Bound, GapSetting>
        where
            ClicksPort: ClicksFree,
        {
            SessionsTest {
                clicks: ::core::iter::FromIterator::from_iter(records),
                settings: self.settings,
                ports: ::core::marker::PhantomData,
            }
        }
        ///Gives the setting `gap` its value.
        pub fn gap(
            self,
            value: Gap,
        ) -> SessionsTest<ClicksPort, ::stream_core::__private::Bound> {
            SessionsTest {
                clicks: self.clicks,
                settings: {
                    let mut settings = self.settings;
                    settings.gap = ::core::option::Option::Some(value);
                    settings
                },
                ports: ::core::marker::PhantomData,
            }
        }
        /// Runs the pipeline in batch mode and gives the rows of each output, in the order in
        /// which they were written.
        ///
        /// # Panics
        /// When the job fails.
        pub fn rows(
            self,
        ) -> SessionsRows<
            <Timed<Windowed<u64, Session>> as ::stream_core::__private::Output>::Row,
            <Stream<Click> as ::stream_core::__private::Output>::Row,
        >
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            for<'any> Click: ::core::clone::Clone + ::core::marker::Send
                + ::core::marker::Sync,
            for<'any> <Timed<
                Windowed<u64, Session>,
            > as ::stream_core::__private::Output>::Row: ::core::marker::Send,
            for<'any> <Stream<
                Click,
            > as ::stream_core::__private::Output>::Row: ::core::marker::Send,
        {
            self.run(::stream_core::__private::Mode::Batch)
        }
        /// As `rows`, in any mode.
        ///
        /// # Panics
        /// When the job fails.
        pub fn run(
            self,
            mode: ::stream_core::__private::Mode,
        ) -> SessionsRows<
            <Timed<Windowed<u64, Session>> as ::stream_core::__private::Output>::Row,
            <Stream<Click> as ::stream_core::__private::Output>::Row,
        >
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            for<'any> Click: ::core::clone::Clone + ::core::marker::Send
                + ::core::marker::Sync,
            for<'any> <Timed<
                Windowed<u64, Session>,
            > as ::stream_core::__private::Output>::Row: ::core::marker::Send,
            for<'any> <Stream<
                Click,
            > as ::stream_core::__private::Output>::Row: ::core::marker::Send,
        {
            let draft = draft(self.settings);
            let source = ::stream_core::__private::vec(self.clicks);
            let draft = draft.map(|job| job.source("clicks", source));
            let (sink, rows0) = ::stream_core::__private::collect::<
                <Timed<Windowed<u64, Session>> as ::stream_core::__private::Output>::Row,
            >();
            let draft = draft.map(|job| job.sink("sessions", sink));
            let (sink, rows1) = ::stream_core::__private::collect::<
                <Stream<Click> as ::stream_core::__private::Output>::Row,
            >();
            let draft = draft.map(|job| job.sink("late", sink));
            ::stream_core::__private::run_test(draft.into_job(), mode);
            SessionsRows {
                sessions: rows0.take(),
                late: rows1.take(),
            }
        }
        /// Checks that the pipeline gives the same in every mode, for every cut, number of
        /// workers and interleaving, and after a stop in the middle.
        ///
        /// # Panics
        /// When two runs differ: with the seed, what was drawn, and the rows that differ.
        pub fn check_modes(self)
        where
            ClicksPort: ClicksBound,
            GapSetting: GapBound,
            for<'any> Click: ::core::clone::Clone + ::core::marker::Send
                + ::core::marker::Sync,
            for<'any> <Timed<
                Windowed<u64, Session>,
            > as ::stream_core::__private::Output>::Row: ::core::fmt::Debug
                + ::core::marker::Send,
            for<'any> <Stream<
                Click,
            > as ::stream_core::__private::Output>::Row: ::core::fmt::Debug
                + ::core::marker::Send,
        {
            let settings = self.settings;
            ::stream_core::__private::check_modes(
                self.clicks,
                move |stream_clicks| {
                    sessions(
                        stream_clicks,
                        ::stream_core::__private::given(&settings.gap, "gap"),
                    )
                },
            );
        }
    }
};
