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
            let _ = &gap;
            move |click| println!("{click:?}, and then {gap:?}")
        })
        .end()
        .event_time(|click| click.at, Lateness::secs(30));
    scope.binding("sessions");
    let sessions = timed
        .key_by(|click| click.user)
        .session(gap)
        .fold(Session::default, Session::extend, Session::merge);
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
#[allow(non_camel_case_types)]
pub struct sessions {}
#[allow(non_camel_case_types, clippy::all, clippy::pedantic, clippy::nursery)]
const _: () = {
    use ::stream_core::__private as private__;
    impl sessions {
        /// The stages and ports of the pipeline, as far as they are known before types are.
        pub const GRAPH: private__::Outline = {
            use private__::outline::*;
            Outline {
                name: "sessions",
                inputs: &[port("clicks", "sessions/clicks", "Stream<Click>")],
                settings: &[setting("gap", "Gap", ::core::option::Option::None)],
                stages: &[
                    stage(
                        "sessions/people/filter",
                        "people",
                        "filter",
                        &["sessions/clicks"],
                    ),
                    stage(
                        "sessions/timed/inspect",
                        "timed",
                        "inspect",
                        &["sessions/people/filter"],
                    ),
                    stage(
                        "sessions/timed/event_time",
                        "timed",
                        "event_time",
                        &["sessions/timed/inspect"],
                    ),
                    stage(
                        "sessions/sessions/key_by",
                        "sessions",
                        "key_by",
                        &["sessions/timed/event_time"],
                    ),
                    stage(
                        "sessions/sessions/session",
                        "sessions",
                        "session",
                        &["sessions/sessions/key_by"],
                    ),
                ],
                outputs: &[
                    port(
                        "sessions",
                        "sessions/sessions/session",
                        "Timed<Windowed<u64, Session>>",
                    ),
                    port("late", "sessions/timed/event_time", "Stream<Click>"),
                ],
            }
        };
    }
    impl sessions
    where
        for<'any> Gap: private__::Setting,
        for<'any> Timed<Windowed<u64, Session>>: private__::Output,
        for<'any> Stream<Click>: private__::Output,
    {
        /// Begins a job: bind a source to each input and a sink to each output, then run it.
        pub fn job() -> sessions__job<
            (
                private__::NotBound,
                private__::NotBound,
                private__::NotBound,
                private__::NotBound,
            ),
        > {
            sessions__job(Self::draft__(), ::core::marker::PhantomData)
        }
        /// Begins a test: give each input a vector, then look at the rows of each output.
        pub fn test() -> sessions__test<(private__::NotBound, private__::NotBound)> {
            let draft = private__::TestDraft::new(Self::draft__());
            sessions__test(draft, ::core::marker::PhantomData)
        }
        fn draft__() -> private__::Draft {
            private__::Draft::new(
                &Self::GRAPH,
                private__::Settings::new(),
                |graph, settings| {
                    let ::core::option::Option::Some(setting0) = settings
                        .get::<Gap>(graph, "gap") else {
                        return;
                    };
                    let (output0, output1) = sessions(
                        graph.input::<Click>("clicks"),
                        setting0,
                    );
                    graph.output("sessions", output0);
                    graph.output("late", output1);
                },
                |settings, name, text| {
                    use private__::NoText as _;
                    match name {
                        "gap" => {
                            private__::Text::<Gap>::new().give(settings, "gap", text)
                        }
                        _ => private__::no_setting(&Self::GRAPH, name),
                    }
                },
            )
        }
    }
    fn settings__() {
        private__::is_setting::<Gap>();
    }
    ///The input `clicks` has a source.
    #[diagnostic::on_unimplemented(
        message = "the input `clicks` has no source",
        label = "give it one before this: `.clicks(source)`"
    )]
    pub trait clicks__given {}
    impl clicks__given for private__::Bound {}
    ///The setting `gap` has a value.
    #[diagnostic::on_unimplemented(
        message = "the setting `gap` has no value",
        label = "give it one before this: `.gap(value)`"
    )]
    pub trait gap__given {}
    impl gap__given for private__::Bound {}
    ///The output `sessions` has a sink.
    #[diagnostic::on_unimplemented(
        message = "the output `sessions` has no sink",
        label = "give it one before this: `.sessions(sink)`"
    )]
    pub trait sessions__given {}
    impl sessions__given for private__::Bound {}
    ///The output `late` has a sink.
    #[diagnostic::on_unimplemented(
        message = "the output `late` has no sink",
        label = "give it one before this: `.late(sink)`"
    )]
    pub trait late__given {}
    impl late__given for private__::Bound {}
    ///A job of the pipeline `sessions`.
    #[must_use = "it does nothing before it is run"]
    pub struct sessions__job<Ports__>(
        private__::Draft,
        ::core::marker::PhantomData<fn() -> (Ports__)>,
    );
    impl<
        clicks__state,
        gap__state,
        sessions__state,
        late__state,
    > sessions__job<(clicks__state, gap__state, sessions__state, late__state)>
    where
        for<'any> Gap: private__::Setting,
        for<'any> Timed<Windowed<u64, Session>>: private__::Output,
        for<'any> Stream<Click>: private__::Output,
    {
        ///Binds a source to the input `clicks`.
        pub fn clicks(
            self,
            source: impl private__::Source<Click>,
        ) -> sessions__job<(private__::Bound, gap__state, sessions__state, late__state)>
        where
            clicks__state: private__::FreeInput,
        {
            sessions__job(
                self.0.map(|job| job.source::<Click>("clicks", source)),
                ::core::marker::PhantomData,
            )
        }
        ///Gives the setting `gap` its value.
        pub fn gap(
            self,
            value: Gap,
        ) -> sessions__job<
            (clicks__state, private__::Bound, sessions__state, late__state),
        > {
            sessions__job(self.0.set::<Gap>("gap", value), ::core::marker::PhantomData)
        }
        ///Binds a sink to the output `sessions`.
        pub fn sessions(
            self,
            sink: impl private__::Sink<private__::Row<Timed<Windowed<u64, Session>>>>,
        ) -> sessions__job<(clicks__state, gap__state, private__::Bound, late__state)>
        where
            sessions__state: private__::FreeOutput,
        {
            sessions__job(
                self
                    .0
                    .map(|job| {
                        job
                            .sink::<
                                private__::Row<Timed<Windowed<u64, Session>>>,
                            >("sessions", sink)
                    }),
                ::core::marker::PhantomData,
            )
        }
        ///Binds a sink to the output `late`.
        pub fn late(
            self,
            sink: impl private__::Sink<private__::Row<Stream<Click>>>,
        ) -> sessions__job<
            (clicks__state, gap__state, sessions__state, private__::Bound),
        >
        where
            late__state: private__::FreeOutput,
        {
            sessions__job(
                self
                    .0
                    .map(|job| job.sink::<private__::Row<Stream<Click>>>("late", sink)),
                ::core::marker::PhantomData,
            )
        }
    }
    impl<Ports__> private__::PipelineJob for sessions__job<Ports__> {
        fn from_draft(draft: private__::Draft) -> Self {
            sessions__job(draft, ::core::marker::PhantomData)
        }
        fn into_draft(self) -> private__::Draft {
            self.0
        }
        fn draft(&self) -> &private__::Draft {
            &self.0
        }
    }
    impl<clicks__state, gap__state, sessions__state, late__state> private__::ConnectedJob
    for sessions__job<(clicks__state, gap__state, sessions__state, late__state)>
    where
        clicks__state: clicks__given,
        sessions__state: sessions__given,
        late__state: late__given,
    {}
    impl<clicks__state, gap__state, sessions__state, late__state> private__::ReadyJob
    for sessions__job<(clicks__state, gap__state, sessions__state, late__state)>
    where
        clicks__state: clicks__given,
        gap__state: gap__given,
        sessions__state: sessions__given,
        late__state: late__given,
    {}
    ///A test of the pipeline `sessions`.
    #[must_use = "it does nothing before it is run"]
    pub struct sessions__test<Ports__>(
        private__::TestDraft,
        ::core::marker::PhantomData<fn() -> (Ports__)>,
    );
    ///The rows of `sessions`, by output.
    #[derive(Clone, Debug, PartialEq)]
    pub struct sessions__rows<sessions__row, late__row> {
        ///Those of `sessions`.
        pub sessions: ::std::vec::Vec<sessions__row>,
        ///Those of `late`.
        pub late: ::std::vec::Vec<late__row>,
    }
    impl<clicks__state, gap__state> sessions__test<(clicks__state, gap__state)>
    where
        for<'any> Gap: private__::Setting,
        for<'any> Timed<Windowed<u64, Session>>: private__::Output,
        for<'any> Stream<Click>: private__::Output,
    {
        ///Gives the input `clicks` its records, in the order of their arrival.
        pub fn clicks(
            self,
            records: impl ::core::iter::IntoIterator<Item = Click>,
        ) -> sessions__test<(private__::Bound, gap__state)>
        where
            clicks__state: private__::FreeInput,
        {
            sessions__test(
                self.0.input::<Click>("clicks", records),
                ::core::marker::PhantomData,
            )
        }
        ///Gives the setting `gap` its value.
        pub fn gap(
            self,
            value: Gap,
        ) -> sessions__test<(clicks__state, private__::Bound)> {
            sessions__test(self.0.set::<Gap>("gap", value), ::core::marker::PhantomData)
        }
        /// Checks that the pipeline gives the same in every mode, for every cut, number of
        /// workers and interleaving, and after a stop in the middle.
        ///
        /// # Panics
        /// When two runs differ: with the seed, what was drawn, and the rows that differ.
        pub fn check_modes(self)
        where
            clicks__state: clicks__given,
            gap__state: gap__given,
            for<'any> Click: private__::TestRecord,
            for<'any> private__::Row<
                Timed<Windowed<u64, Session>>,
            >: private__::CheckedRow,
            for<'any> private__::Row<Stream<Click>>: private__::CheckedRow,
        {
            self.check__::<private__::Modes>();
        }
        /// Checks that the pipeline gives the same though it crashes again and again and goes
        /// on from its last checkpoint.
        ///
        /// # Panics
        /// When the rows differ from those of a run in which nothing went wrong: with the seed,
        /// what was drawn, and the rows that differ.
        pub fn check_recovery(self)
        where
            clicks__state: clicks__given,
            gap__state: gap__given,
            for<'any> Click: private__::TestRecord,
            for<'any> private__::Row<
                Timed<Windowed<u64, Session>>,
            >: private__::CheckedRow,
            for<'any> private__::Row<Stream<Click>>: private__::CheckedRow,
        {
            self.check__::<private__::Recovery>();
        }
        fn check__<C__: private__::Check>(self)
        where
            for<'any> Click: private__::TestRecord,
            for<'any> private__::Row<
                Timed<Windowed<u64, Session>>,
            >: private__::CheckedRow,
            for<'any> private__::Row<Stream<Click>>: private__::CheckedRow,
        {
            let settings = self.0.settings();
            let mut draft = self.0;
            C__::check(
                draft.take::<Click>("clicks"),
                move |stream0| {
                    let (output0, output1) = sessions(
                        stream0,
                        settings.given::<Gap>("gap"),
                    );
                    (output0, output1)
                },
            );
        }
    }
    impl<
        Ports__,
    > private__::PipelineTest<
        sessions__rows<
            private__::Row<Timed<Windowed<u64, Session>>>,
            private__::Row<Stream<Click>>,
        >,
    > for sessions__test<Ports__>
    where
        for<'any> Gap: private__::Setting,
        for<'any> Timed<Windowed<u64, Session>>: private__::Output,
        for<'any> Stream<Click>: private__::Output,
        for<'any> Click: private__::TestRecord,
        for<'any> private__::Row<Timed<Windowed<u64, Session>>>: private__::TestRow,
        for<'any> private__::Row<Stream<Click>>: private__::TestRow,
    {
        fn run(
            self,
            mode: private__::Mode,
        ) -> sessions__rows<
            private__::Row<Timed<Windowed<u64, Session>>>,
            private__::Row<Stream<Click>>,
        > {
            let draft = self.0.source::<Click>("clicks");
            let (draft, rows0) = draft
                .sink::<private__::Row<Timed<Windowed<u64, Session>>>>("sessions");
            let (draft, rows1) = draft.sink::<private__::Row<Stream<Click>>>("late");
            draft.run(mode);
            sessions__rows {
                sessions: rows0.take(),
                late: rows1.take(),
            }
        }
    }
    impl<clicks__state, gap__state> private__::ReadyTest
    for sessions__test<(clicks__state, gap__state)>
    where
        clicks__state: clicks__given,
        gap__state: gap__given,
    {}
};
