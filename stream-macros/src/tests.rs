//! Models as text, mistakes as text, and the code of the lead example as a snapshot.

use quote::quote;

use crate::errors::Errors;
use crate::model::Model;
use crate::{check, parse};

/// The model of a function, and what is wrong with it.
fn model(item: proc_macro2::TokenStream) -> (String, Vec<String>) {
    let mut errors = Errors::default();
    let function = syn::parse2(item).unwrap();
    let model = Model::new(parse::parse(quote!(), function, &mut errors));
    check::language(&model, &mut errors);
    check::rules(&model, &mut errors);
    (model.to_string(), errors.texts())
}

#[test]
fn a_model_names_stages_and_what_they_read() {
    let (text, errors) = model(quote! {
        fn both(words: Stream<String>, gap: Gap) -> (Table<String, u64>, Stream<String>) {
            let (long, short) = words.filter(|w| !w.is_empty()).filter(check).split(|w| w.len() > 9);
            let longest = long.named("longest");
            let pairs = other(short, gap).union(longest.map(f));
            let counts = pairs.key_by(g).count();
            (counts, longest)
        }
    });
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(
        text,
        "pipeline both\n  \
           input words: String\n  \
           setting gap: Gap\n  \
           both/long/filter <- both/words\n  \
           both/long/filter#2 <- both/long/filter\n  \
           both/longest <- both/long/filter#2\n  \
           both/pairs/other <- both/longest\n  \
           both/pairs/map <- both/longest\n  \
           both/pairs/union <- both/pairs/other, both/pairs/map\n  \
           both/counts/key_by <- both/pairs/union\n  \
           both/counts/count <- both/counts/key_by\n  \
           output counts <- both/counts/count\n  \
           output longest <- both/longest\n",
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let (_, errors) = model(quote! {
        async fn wrong(run: Stream<u64>, words: Stream<&str>) -> Stream<u64> {
            let odd = run.filter(|n| n % 2 == 1);
            let odd = if true { run } else { odd };
            let (timed, late) = words.event_time(at, lateness);
            timed
        }
    });
    let told: Vec<_> = errors
        .iter()
        .map(|error| error.lines().next().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "a pipeline cannot be `async`",
            "a pipeline cannot take what is borrowed",
            "`if` cannot choose between streams",
            "the name `odd` is taken",
            "the late records in `late` are never read",
        ],
    );
}

#[test]
fn every_mistake_comes_with_a_remedy() {
    let (_, errors) = model(quote! {
        fn wrong(words: Stream<u64>) -> Stream<u64> {
            let (a, _) = words.split(f);
            words.map(g);
        }
    });
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors.iter().all(|error| error.contains("\nhelp: ")),
        "{errors:?}"
    );
}

/// An input that is named has one id, in the constant and in the picture.
#[test]
fn a_named_input_is_drawn_with_what_reads_it() {
    let item = quote! {
        fn seen(clicks: Stream<u64>) -> Stream<u64> {
            let more = clicks.named("source").map(f);
            more
        }
    };
    let code = crate::pipeline_tokens(quote!(), item).to_string();
    assert!(code.contains("n0 --> n1"), "{code}");
    assert!(code.contains(r#"port ("clicks" , "seen/source""#), "{code}");
}

/// The code that the lead example expands to lies in `expanded/sessions.rs`, to be read.
/// `UPDATE_SNAPSHOTS=1` writes it anew.
#[test]
fn the_lead_example_expands_as_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/expanded/sessions.rs");
    let item = quote! {
        /// Sessions of people, and the clicks that came too late.
        #[allow(dead_code)]
        pub fn sessions(
            clicks: Stream<Click>,
            gap: Gap,
        ) -> (Timed<Windowed<u64, Session>>, Stream<Click>) {
            let people = clicks.filter(|click| !click.is_bot);
            let (timed, late) = people
                .inspect(|click| println!("{click:?}, and then {gap:?}"))
                .event_time(|click| click.at, Lateness::secs(30));
            let sessions = timed
                .key_by(|click| click.user)
                .session(gap)
                .fold(Session::default, Session::extend, Session::merge);
            (sessions, late)
        }
    };
    let code = crate::pipeline_tokens(quote!(), item);
    let code = prettyplease::unparse(&syn::parse2(code).unwrap());
    let head = "// What `#[pipeline]` makes of the lead example; `tests.rs` beside the sources of the \
                macro has it as\n// it is written, and checks that this is what comes of it.\n\n";
    let code = format!("{head}{code}");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &code).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        code == kept,
        "run `UPDATE_SNAPSHOTS=1 cargo test -p stream-macros` and read the difference"
    );
}
