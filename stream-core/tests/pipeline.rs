//! What `#[pipeline]` gives: ports, settings, ids, the same graph as the fluent API.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use serde::{Deserialize, Serialize};
use stream_core::graph::NodeSpec;
use stream_core::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Click {
    user: u64,
    at: EventTime,
    is_bot: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    clicks: u64,
}

impl Session {
    fn extend(&mut self, _: Click) {
        self.clicks += 1;
    }
    fn merge(&mut self, later: Session) {
        self.clicks += later.clicks;
    }
}

/// Sessions of people.
#[pipeline]
fn sessions(clicks: Stream<Click>, gap: Gap) -> (Timed<Windowed<u64, Session>>, Stream<Click>) {
    let (timed, late) = clicks
        .filter(|click| !click.is_bot)
        .event_time(|click| click.at, Lateness::secs(30));
    let sessions = timed.key_by(|click| click.user).session(gap).fold(
        Session::default,
        Session::extend,
        Session::merge,
    );
    (sessions, late)
}

fn click(user: u64, at: i64) -> Click {
    let at = EventTime::secs(at);
    Click {
        user,
        at,
        is_bot: user == 0,
    }
}

#[test]
fn a_pipeline_runs_by_its_own_ports_and_settings() {
    let rows = sessions::test()
        .clicks([
            click(1, 0),
            click(0, 1),
            click(1, 20),
            click(2, 100),
            click(1, 10),
        ])
        .gap(Gap::secs(25))
        .rows();
    assert_eq!(rows.late, [click(1, 10)]);
    let mut found: Vec<_> = rows
        .sessions
        .iter()
        .map(|row| (row.key, row.value.clicks))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(1, 2), (2, 1)]);
}

#[test]
fn the_graph_is_that_of_the_fluent_api() {
    let by_hand = Job::new("sessions", |graph| {
        let clicks = graph.input::<Click>("clicks");
        let (timed, late) = clicks
            .filter(|click| !click.is_bot)
            .named("timed/filter")
            .event_time(|click| click.at, Lateness::secs(30));
        let sessions = timed
            .named("timed/event_time")
            .key_by(|click| click.user)
            .named("sessions/key_by")
            .session(Gap::secs(25))
            .fold(Session::default, Session::extend, Session::merge)
            .named("sessions/session");
        graph.output("sessions", sessions);
        graph.output("late", late);
    });
    let by_macro = sessions::job().gap(Gap::secs(25));
    assert_eq!(by_macro.explain().unwrap(), by_hand.explain().unwrap());
}

/// Fused across bindings, with a stage behind a name, a stream that is read twice, and an output
/// without a name.
#[pipeline]
fn mixed(numbers: Stream<u64>, #[default(2)] factor: u64, offset: u64) -> Stream<u64> {
    let odd = numbers.filter(|n| n % 2 == 1).inspect(|_| ());
    let scaled = odd.map(|n| n * factor).named("times").filter(|n| *n > 0);
    let (small, large) = numbers.map(|n| n + offset).split(|n| *n < 4);
    large.discard();
    scaled.union(small.map(|n| n * factor)).map(|n| n)
}

#[test]
fn fusion_across_bindings_does_not_show_in_the_graph() {
    let by_hand = Job::new("mixed", |graph| {
        let numbers = graph.input::<u64>("numbers");
        let odd = numbers.clone().filter(|_| true).named("odd/filter");
        let odd = odd.inspect(|_| ()).named("odd/inspect");
        let scaled = odd
            .map(|n| n)
            .named("times")
            .filter(|_| true)
            .named("scaled/filter");
        let moved = numbers.map(|n| n).named("small/map");
        let (small, _large) = moved.split(|_| true);
        let small = small.named("small/split").map(|n| n).named("output/map");
        let all = scaled.union(small).named("output/union");
        graph.output("output", all.map(|n| n).named("output/map#2"));
    });
    let by_macro = mixed::job().offset(0);
    assert_eq!(by_macro.explain().unwrap(), by_hand.explain().unwrap());
}

#[test]
fn settings_have_defaults_and_can_be_given_as_text() {
    let mut rows = mixed::test().numbers(0..5).offset(1).rows().output;
    rows.sort_unstable();
    assert_eq!(rows, [2, 2, 4, 6, 6]);

    let wrong = |name: &str, text: &str| match mixed::job().set(name, text) {
        Ok(_) => panic!("{name}={text} was taken"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        wrong("factor", "two"),
        "the setting `factor` cannot be `two`: invalid digit found in string (hint: `factor` is a \
         `u64`, like `--set factor=42`)",
    );
    assert_eq!(
        wrong("speed", "2"),
        "the pipeline has no setting `speed` (hint: its settings are `factor`, `offset`)",
    );
    let job = mixed::job().offset(3).set("factor", "7").unwrap();
    assert!(job.explain().is_ok());
}

/// A pipeline of pipelines: the second session of the same definition has its own place.
#[pipeline(name = "outer")]
fn composed(clicks: Stream<Click>, gap: Gap) -> (Table<u64, u64>, Stream<Click>, Stream<Click>) {
    let (short, short_late) = sessions(clicks, gap);
    let (long, long_late) = sessions(clicks, Gap::hours(1));
    #[was("users")]
    let per_user = short.union(long).key_by(|session| session.key).count();
    (per_user, short_late, long_late)
}

#[test]
fn a_pipeline_that_is_called_has_a_place_of_its_own() {
    let spec = composed::job().gap(Gap::mins(1)).explain().unwrap();
    let stages = spec.nodes.iter().filter(|node| node.port().is_none());
    let ids: Vec<_> = stages.map(|node| node.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "outer/short/sessions/timed/filter",
            "outer/short/sessions/timed/event_time",
            "outer/short/sessions/sessions/key_by",
            "outer/short/sessions/sessions/session",
            "outer/long/sessions/timed/filter",
            "outer/long/sessions/timed/event_time",
            "outer/long/sessions/sessions/key_by",
            "outer/long/sessions/sessions/session",
            "outer/per_user/union",
            "outer/per_user/key_by",
            "outer/per_user/count",
            "outer/per_user/final_content",
        ],
    );
    let was = spec.nodes.iter().filter_map(|node| node.was.as_deref());
    assert_eq!(
        was.collect::<Vec<_>>(),
        [
            "outer/users/union",
            "outer/users/key_by",
            "outer/users/count",
            "outer/users/final_content",
        ],
    );
}

/// What `GRAPH` says of stages, `explain` says too.
#[test]
fn the_constant_names_the_stages_of_the_graph() {
    let spec = sessions::job().gap(Gap::mins(1)).explain().unwrap();
    let stages = spec.nodes.iter().filter(|node| node.port().is_none());
    let of_job: Vec<_> = stages.map(|node| node.id.as_str()).collect();
    let of_constant = sessions::GRAPH.stages.iter().map(|stage| stage.id);
    assert_eq!(of_constant.collect::<Vec<_>>(), of_job);
    assert_eq!(
        sessions::GRAPH.to_string(),
        "pipeline sessions\n  \
           input clicks: Stream<Click>\n  \
           setting gap: Gap\n  \
           sessions/timed/filter <- sessions/clicks\n  \
           sessions/timed/event_time <- sessions/timed/filter\n  \
           sessions/sessions/key_by <- sessions/timed/event_time\n  \
           sessions/sessions/session <- sessions/sessions/key_by\n  \
           output sessions: Timed<Windowed<u64, Session>> <- sessions/sessions/session\n  \
           output late: Stream<Click> <- sessions/timed/event_time\n",
    );
}

/// A generic pipeline with a setting that is a closure's, not `Copy`, and named twice.
#[pipeline]
pub fn tagged<T>(words: Stream<T>, tag: String) -> (Stream<String>, Stream<String>)
where
    T: Clone + ToString + 'static,
{
    let before = words.map(|word| format!("{tag}{}", word.to_string()));
    let after = words
        .map(|word| word.to_string())
        .filter(|word| *word != tag)
        .map({
            let separator = "-".to_string();
            move |word| word + &separator + &tag
        });
    (before, after)
}

#[test]
fn generic_pipelines_clone_their_settings_into_closures() {
    let rows = tagged::test::<u8>()
        .words([1, 2])
        .tag("2".to_string())
        .rows();
    assert_eq!(rows.before, ["21", "22"]);
    assert_eq!(rows.after, ["1-2"]);
}

#[test]
fn a_pipeline_can_stand_in_a_function_and_use_its_types() {
    #[derive(Clone, Debug)]
    struct Local(u64);

    #[pipeline]
    fn inner(locals: Stream<Local>) -> Stream<u64> {
        let numbers = locals.map(|local| local.0);
        numbers
    }
    assert_eq!(inner::test().locals([Local(3)]).rows().numbers, [3]);
}

/// A part that only other pipelines can call.
#[pipeline]
fn users(clicks: Timed<Click>) -> Table<u64, u64> {
    clicks.key_by(|click| click.user).count()
}

#[pipeline]
fn busy(clicks: Stream<Click>, lateness: Lateness) -> Table<u64, u64> {
    let (timed, late) = clicks.event_time(|click| click.at, lateness);
    late.discard();
    let counts = users(timed);
    counts
}

#[test]
fn parts_of_pipelines_take_any_handle() {
    let rows = busy::test()
        .clicks([click(1, 0), click(1, 9)])
        .lateness(Lateness::secs(1))
        .rows();
    assert_eq!(rows.counts, [stream_core::ops::Entry { key: 1, value: 2 }]);
    let spec = busy::job().lateness(Lateness::secs(1)).explain().unwrap();
    assert!(
        spec.nodes
            .iter()
            .any(|node| node.id == "busy/counts/users/output/count")
    );
    assert_eq!(users::GRAPH.stages.len(), 2);
}

#[test]
fn a_test_checks_the_modes() {
    let clicks = (0..40).map(|n| click(n % 3, i64::try_from(n * 7 % 31).unwrap()));
    sessions::test()
        .clicks(clicks)
        .gap(Gap::secs(3))
        .check_modes();
}

#[test]
fn a_test_lets_the_pipeline_crash() {
    let clicks = (0..40).map(|n| click(n % 3, i64::try_from(n * 7 % 31).unwrap()));
    sessions::test()
        .clicks(clicks)
        .gap(Gap::secs(3))
        .check_recovery();
}

/// More stages than one fused chain takes.
#[pipeline]
fn long(numbers: Stream<u64>) -> Stream<u64> {
    let a = numbers
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1);
    let b = a
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1);
    let c = b
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1);
    let d = c
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1)
        .map(|n| n + 1);
    d
}

#[test]
fn long_chains_are_cut() {
    assert_eq!(long::test().numbers([0]).rows().d, [20]);
    let spec = long::job().explain().unwrap();
    assert_eq!(spec.nodes.len(), 22);
}

/// The fingerprint of the stage that folds sessions, by gap.
fn fingerprint(gap: Gap) -> Option<stream_core::graph::Fingerprint> {
    let spec = sessions::job().gap(gap).explain().unwrap();
    let stage = spec.nodes.iter().find(|node| node.kind == "session");
    stage.and_then(NodeSpec::fingerprint)
}

#[test]
fn a_fingerprint_covers_settings_and_types_and_no_names_of_stages() {
    assert!(fingerprint(Gap::mins(1)).is_some());
    assert_eq!(fingerprint(Gap::mins(1)), fingerprint(Gap::secs(60)));
    assert_ne!(fingerprint(Gap::mins(1)), fingerprint(Gap::mins(2)));

    #[pipeline]
    fn renamed(clicks: Stream<Click>, gap: Gap) -> Timed<Windowed<u64, Session>> {
        let (on_time, late) = clicks.event_time(|click| click.at, Lateness::secs(30));
        late.discard();
        let windows = on_time.key_by(|click| click.user).session(gap);
        windows.fold(Session::default, Session::extend, Session::merge)
    }
    let spec = renamed::job().gap(Gap::mins(1)).explain().unwrap();
    let stage = spec
        .nodes
        .iter()
        .find(|node| node.kind == "session")
        .unwrap();
    assert_eq!(stage.id, "renamed/output/session");
    assert_eq!(stage.fingerprint(), fingerprint(Gap::mins(1)));
}

#[pipeline]
fn seldom(numbers: Stream<u64>, #[default(2)] most: u64) -> Table<u64, u64> {
    let counts = numbers.key_by(|n| *n).count();
    let few = counts.filter(|_, count| *count <= most);
    let seldom = few
        .filter(|number, _| number % 2 == 0)
        .filter(|number, _| *number > 0)
        .map_values(|count| count * 10);
    seldom
}

#[test]
fn the_rows_of_a_table_are_filtered_in_a_pipeline() {
    let numbers = [0, 1, 2, 4, 4, 6, 6, 6];
    let rows = seldom::test().numbers(numbers).rows();
    let entry = |key, value| Entry { key, value };
    assert_eq!(rows.seldom, [entry(2, 10), entry(4, 20)]);
}

#[pipeline]
fn ping(numbers: Stream<u64>) -> Stream<u64> {
    let back = pong(numbers);
    back
}

#[pipeline]
fn pong(numbers: Stream<u64>) -> Stream<u64> {
    let back = ping(numbers);
    back
}

#[test]
fn pipelines_that_call_one_another_without_end_say_so() {
    let error = ping::job().explain().unwrap_err().to_string();
    assert!(error.contains("makes a graph without end"), "{error}");
    assert!(error.contains("tests/pipeline.rs:"), "{error}");
}
