//! What Rust lets one write compiles in a pipeline, and runs.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use stream_core::prelude::*;

/// A token in a macro that happens to be a stream's name is no read of the stream.
mod tokens_in_macros {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Order {
        late: u64,
        at: i64,
    }

    #[derive(Clone, Debug, PartialEq)]
    enum Kind {
        Line(u64),
    }

    #[pipeline]
    fn orders(orders: Stream<Order>) -> (Timed<String>, Stream<Order>, Stream<Kind>, Stream<bool>) {
        let (timed, late) =
            orders.event_time(|order| EventTime::secs(order.at), Lateness::secs(10));
        let texts = timed.map(|order| format!("{} {{late}} {late}", order.late, late = order.at));
        let kinds = orders.flat_map(|order| vec![Kind::Line(order.late)]);
        let lines = kinds.map(|kind| matches!(kind, Kind::Line(orders) if orders > 1));
        (texts, late, kinds, lines)
    }

    #[test]
    fn are_no_reads() {
        let order = |late, at| Order { late, at };
        let rows = orders::test().orders([order(1, 100), order(2, 50)]).rows();
        assert_eq!(rows.texts, ["1 {late} 100"]);
        assert_eq!(rows.late, [order(2, 50)]);
        assert_eq!(rows.kinds, [Kind::Line(1), Kind::Line(2)]);
        assert_eq!(rows.lines, [false, true]);
    }
}

/// Plain values need no `Clone`, if one closure takes each.
mod plain_values {
    use std::sync::Mutex;

    use super::*;

    struct Line {
        seen: u64,
    }

    #[pipeline]
    fn shadowed(numbers: Stream<u64>) -> (Stream<u64>, Stream<String>) {
        let seen = Mutex::new(1);
        let first = numbers.map(|n| n + *seen.lock().unwrap());
        let seen = Mutex::new(10);
        let size = seen.lock().unwrap().min(3);
        let second = numbers
            .map(|n| Line { seen: n + size })
            .map(|line| format!("{} {}", line.seen, *seen.lock().unwrap()));
        (first, second)
    }

    fn plus(seen: &Mutex<u64>, is_twice: bool) -> Box<dyn Fn(u64) -> u64> {
        let more = *seen.lock().unwrap() * if is_twice { 2 } else { 1 };
        Box::new(move |n| n + more)
    }

    #[pipeline]
    fn mentioned(numbers: Stream<u64>) -> Stream<String> {
        let seen = Mutex::new(1);
        let texts = numbers
            .map(plus(&seen, seen.is_poisoned()))
            .map(|n| Line {
                seen: n + *seen.lock().unwrap(),
            })
            .map(|line| format!("{} {seen}", line.seen, seen = 2));
        texts
    }

    #[test]
    fn are_moved() {
        let rows = shadowed::test().numbers([1]).rows();
        assert_eq!((rows.first, rows.second), (vec![2], vec!["4 10".into()]));
        assert_eq!(mentioned::test().numbers([1]).rows().texts, ["3 2"]);
    }

    struct Maker(String);

    impl Maker {
        fn tagged(self, words: Stream<String>) -> Stream<String> {
            words.map(move |word| format!("{}{word}", self.0))
        }
    }

    #[pipeline]
    fn made(words: Stream<String>, tag: String) -> (Stream<String>, Stream<String>) {
        let first = words.map(|word| format!("{tag}{word}"));
        let second = Maker(tag).tagged(words);
        (first, second)
    }

    type Part = fn(Stream<u64>) -> Stream<u64>;

    #[pipeline]
    fn chosen(numbers: Stream<u64>, parts: Vec<Part>) -> (Stream<usize>, Stream<u64>) {
        let counts = numbers.map(|_| parts.len());
        let second = (parts[0])(numbers);
        (counts, second)
    }

    #[test]
    fn may_say_which_function_is_called() {
        let words = ["a"].map(String::from);
        let rows = made::test().words(words).tag("-".into()).rows();
        assert_eq!(
            (rows.first, rows.second),
            (vec!["-a".into()], vec!["-a".into()])
        );
        let test = chosen::test().numbers([1]).parts(vec![|numbers| numbers]);
        assert_eq!(test.rows().counts, [1]);
    }
}

/// A name that the function does not bind may be no stream.
mod names_from_elsewhere {
    use super::*;

    #[allow(non_upper_case_globals)]
    static smallest: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(2);

    macro_rules! bound {
        ($name:ident, $value:expr) => {
            let $name = $value;
        };
    }

    #[pipeline]
    fn large(numbers: Stream<u64>) -> Stream<u64> {
        bound!(limits, [7, 9]);
        let min = smallest.load(std::sync::atomic::Ordering::Relaxed);
        let limits = Some(limits);
        let max = limits.map_or(0, |limits| limits.iter().sum::<u64>());
        let large = numbers.filter(|n| *n > min).filter(|n| *n < max);
        large
    }

    #[test]
    fn are_plain_values() {
        assert_eq!(large::test().numbers(0..20).rows().large.len(), 13);
    }
}

/// What a function gives may have methods that are called like those of streams.
mod what_is_no_stream {
    use super::*;

    struct Parts(Stream<u64>);

    impl Parts {
        fn map(self, f: fn(u64) -> u64) -> Self {
            Parts(self.0.map(f))
        }

        fn filter(self, f: fn(&u64) -> bool) -> Self {
            Parts(self.0.filter(f))
        }

        fn numbers(self) -> Stream<u64> {
            self.0
        }
    }

    #[pipeline]
    fn parted(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
        let parts = Parts(numbers);
        let large = parts.map(|n| n + 1).filter(|n| *n > 2);
        let first = large.numbers();
        let second = Parts(numbers).map(|n| n * 2).map(|n| n + 1).numbers();
        (first, second)
    }

    #[test]
    fn is_not_fused() {
        let rows = parted::test().numbers([1, 2]).rows();
        assert_eq!((rows.first, rows.second), (vec![3], vec![3, 5]));
    }
}

mod settings {
    use std::sync::Arc;

    use super::*;

    type Check = Arc<dyn Fn(&str) -> bool + Send + Sync>;

    #[pipeline]
    fn formatted(
        numbers: Stream<f64>,
        width: usize,
        #[default(2)] digits: usize,
    ) -> Stream<String> {
        let texts = numbers.map(|n| format!("{n:>width$.digits$}"));
        texts
    }

    #[pipeline]
    fn limited(numbers: Stream<u64>, mut limit: u64) -> Stream<u64> {
        limit += 1;
        let limit = limit.max(2);
        let few = numbers.filter(|n| *n < limit);
        few
    }

    #[pipeline]
    fn checked(words: Stream<String>, short: fn(&String) -> bool, known: Check) -> Stream<String> {
        let chosen = words.filter(short).filter(|word| known(word));
        chosen
    }

    #[test]
    fn are_any_values() {
        let texts = formatted::test().numbers([1.0, 2.345]).width(6).rows();
        assert_eq!(texts.texts, ["  1.00", "  2.35"]);
        let few = limited::test().numbers(0..9).limit(2).rows();
        assert_eq!(few.few, [0, 1, 2]);
        let known: Check = Arc::new(|word| word != "b");
        let words = ["a", "b", "long"].map(String::from);
        let test = checked::test()
            .words(words)
            .short(|word| word.len() < 3)
            .known(known);
        assert_eq!(test.rows().chosen, ["a"]);
    }
}

/// Names that are keywords, or that the generated code might want for itself.
mod names {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct SessionsSettings;
    #[derive(Clone, Debug, PartialEq)]
    struct WordsRows;
    #[derive(Clone, Debug, PartialEq)]
    #[allow(dead_code)]
    struct Job;
    #[derive(Clone, Debug, PartialEq)]
    struct NotBound;

    #[pipeline]
    fn r#match(r#type: Stream<u64>, r#mod: u64) -> Stream<u64> {
        let r#loop = r#type.map(|n| n % r#mod);
        r#loop
    }

    #[pipeline]
    fn io(check: Stream<SessionsSettings>) -> Stream<WordsRows> {
        let draft = check.map(|_| WordsRows);
        draft
    }

    #[pipeline]
    fn check(draft: Stream<NotBound>, settings: u64, ports: u64, marker: u64) -> Stream<u64> {
        let rows = draft.map(|_| settings + ports + marker);
        rows
    }

    #[pipeline]
    fn draft(start: Stream<u64>, mode: Stream<u64>, set: u64, test: u64) -> Stream<u64> {
        let run = start.union(mode).map(|n| n + set + test);
        run
    }

    #[pipeline]
    fn csv(rows: Stream<u64>, workers: u64, job: u64) -> (Stream<u64>, Stream<u64>) {
        let day1 = rows.map(|n| n + workers);
        let day_1 = rows.map(|n| n + job);
        (day1, day_1)
    }

    #[pipeline]
    fn generic<Ports, State: Clone + Send + Sync + 'static>(
        rows: Stream<Ports>,
        state: State,
    ) -> Stream<State>
    where
        Ports: Clone + Send + Sync + 'static,
    {
        let states = rows.map(move |_| state.clone());
        states
    }

    #[test]
    fn are_free() {
        assert_eq!(
            r#match::test().r#type(3..6).r#mod(3).rows().r#loop,
            [0, 1, 2]
        );
        assert_eq!(r#match::GRAPH.stages[0].id, "match/loop/map");
        assert_eq!(
            r#match::job().r#mod(3).explain().unwrap().nodes[1].id,
            "match/loop/map"
        );
        assert_eq!(
            io::test().check([SessionsSettings]).rows().draft,
            [WordsRows]
        );
        let test = check::test()
            .draft([NotBound])
            .settings(1)
            .ports(2)
            .marker(3);
        assert_eq!(test.rows().rows, [6]);
        let test = draft::test().start([1]).mode([2]).set(1).test(1);
        let mut run = test.rows().run;
        run.sort();
        assert_eq!(run, [3, 4]);
        let test = csv::test().rows([1]).workers(1).job(2);
        let rows = PipelineTest::rows(test);
        assert_eq!((rows.day1, rows.day_1), (vec![2], vec![3]));
        assert_eq!(
            generic::test().rows([1]).state("x").run(Mode::Batch).states,
            ["x"]
        );
    }
}

/// What stands around and in a function.
mod forms {
    use super::*;

    #[pipeline]
    fn with_items(
        /// The numbers.
        numbers: Stream<u64>,
        /// What is added.
        #[default(1)]
        more: u64,
    ) -> (Stream<u64>,) {
        const TWICE: u64 = 2;
        use std::convert::identity;
        fn plus(n: u64, more: u64) -> u64 {
            n + more
        }
        let sums = numbers.map(|n| identity(plus(n, more) * TWICE));
        (sums,)
    }

    /// Closures in plain Rust may change what they like, and those on records what is theirs.
    #[pipeline]
    fn prepared(words: Stream<String>, stops: Vec<String>) -> Stream<usize> {
        let mut known = std::collections::BTreeSet::new();
        stops.iter().for_each(|stop| {
            known.insert(stop.clone());
        });
        let sizes = words.filter(|word| !known.contains(word)).map(|word| {
            let mut known = 0;
            word.chars().for_each(|_| known += 1);
            known
        });
        sizes
    }

    /// A function of the pipeline's own name is another one.
    #[pipeline]
    fn nested(numbers: Stream<u64>) -> Stream<u64> {
        fn nested(numbers: Stream<u64>) -> Stream<u64> {
            numbers.map(|n| n + 1)
        }
        let sums = nested(numbers);
        sums
    }

    #[pipeline]
    #[allow(unused_variables, clippy::todo)]
    fn unwritten(clicks: Stream<u64>, gap: Gap) -> (Stream<u64>, Table<u64, u64>) {
        let people = clicks.filter(|n| *n > 1);
        todo!()
    }

    #[pipeline]
    #[allow(unused_parens)]
    fn parenthesized(numbers: (Stream<u64>)) -> (Stream<u64>) {
        numbers.map(|n| n + 1)
    }

    #[pipeline]
    #[allow(unused_parens)]
    fn both(numbers: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
        let (small, large) = numbers.split(|n| *n < 2);
        ((small, large))
    }

    macro_rules! pipeline_of {
        ($name:ident, $of:ty, $out:ty) => {
            #[pipeline]
            fn $name(records: $of) -> $out {
                let kept = records.filter(|_| true);
                kept
            }
        };
    }
    pipeline_of!(of_numbers, Stream<u64>, Stream<u64>);

    #[pipeline]
    #[rustfmt::skip]
    fn on_this_machine(
        numbers: Stream<u64>,
        #[cfg(not(test))] other: u64,
        #[cfg(test)] more: u64,
    ) -> Stream<u64> {
        #[cfg(not(test))]
        let more = other;
        let sums = numbers.map(|n| n + more);
        sums
    }

    #[test]
    fn are_those_of_any_function() {
        assert_eq!(with_items::test().numbers([1]).rows().sums, [4]);
        assert_eq!(parenthesized::test().numbers([1]).rows().output, [2]);
        assert_eq!(both::test().numbers([1, 2]).rows().large, [2]);
        assert_eq!(of_numbers::test().records([1]).rows().kept, [1]);
        assert_eq!(
            on_this_machine::test().numbers([1]).more(2).rows().sums,
            [3]
        );
        let words = ["a", "long"].map(String::from);
        let test = prepared::test().words(words).stops(vec!["a".to_owned()]);
        assert_eq!(test.rows().sizes, [4]);
        assert_eq!(nested::test().numbers([1]).rows().sums, [2]);
        assert_eq!(unwritten::GRAPH.inputs[0].name, "clicks");
    }
}

/// What the generated items keep of the function's generics and bounds.
mod generics {
    use std::fmt::Debug;

    use super::*;

    trait Shape: 'static {
        type In: Clone + Debug + PartialEq + Send + Sync + 'static;
        fn keep(record: &Self::In) -> bool;
    }

    struct Even;

    impl Shape for Even {
        type In = u64;
        fn keep(record: &u64) -> bool {
            record.is_multiple_of(2)
        }
    }

    #[derive(Clone)]
    struct Limit<S: Shape>(S::In);

    #[pipeline]
    fn shaped<S: Shape>(records: Stream<S::In>, not: Limit<S>) -> Stream<S::In>
    where
        Limit<S>: Clone + Send + Sync,
    {
        let kept = records
            .filter(|record| S::keep(record))
            .filter(|record| *record != not.0);
        kept
    }

    impl Clone for Even {
        fn clone(&self) -> Self {
            Even
        }
    }

    #[test]
    fn are_kept() {
        let rows = shaped::test::<Even>().records(0..7).not(Limit(4)).rows();
        assert_eq!(rows.kept, [0, 2, 6]);
    }
}

/// A pipeline that has more ports than a tuple of the test kit takes.
#[pipeline]
fn wide(
    a: Stream<u64>,
    b: Stream<u64>,
    c: Stream<u64>,
    d: Stream<u64>,
    e: Stream<u64>,
) -> (
    Stream<u64>,
    Stream<u64>,
    Stream<u64>,
    Stream<u64>,
    Stream<u64>,
) {
    let ab = a.union(b);
    let bc = b.union(c);
    let cd = c.union(d);
    let de = d.union(e);
    let ea = e.union(a);
    (ab, bc, cd, de, ea)
}

#[test]
fn a_test_checks_the_modes_of_any_number_of_ports() {
    wide::test()
        .a(0..3)
        .b(3..5)
        .c(5..6)
        .d(6..9)
        .e(9..10)
        .check_modes();
}
