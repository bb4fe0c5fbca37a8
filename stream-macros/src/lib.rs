//! The macros of `stream-core`: `#[pipeline]`, and for operators of one's own `#[operator]` and
//! `#[derive(Outputs)]`.
//!
//! A definition's way: `parse` reads the function in the language of pipelines, `model` finds
//! out who reads what, what is fused, and what each stage is called, `check` holds it against the
//! rules, and `expand` writes the fluent API of `stream-core`.
//!
//! The macro decides what depends on the structure of a function: the identity of each stage, the
//! ports, that every stream is used, clones, fusion. What depends on types (event time before a
//! window, a key before keyed state) stays with the traits of `stream-core`, so that it holds with
//! and without the macro.
//!
//! All mistakes of a function are reported at once, on the tokens that the user wrote, and a
//! pipeline with a mistake still expands to well-typed items, so that one mistake is not followed
//! by others.
//!
//! It leaves out all runtime logic. The crate does not depend on `stream-core`; the code that it
//! writes names it, through `stream_core::__private`.

mod check;
mod conditions;
mod errors;
mod expand;
mod model;
mod names;
mod operator;
mod outputs;
mod parse;
mod refuse;
mod signature;

use proc_macro::TokenStream;

use errors::Errors;
use model::Model;

#[allow(
    missing_docs,
    reason = "`stream_core`, which exports it, has the documentation"
)]
#[proc_macro_attribute]
pub fn pipeline(attr: TokenStream, item: TokenStream) -> TokenStream {
    pipeline_tokens(attr.into(), item.into()).into()
}

#[allow(
    missing_docs,
    reason = "`stream_core`, which exports it, has the documentation"
)]
#[proc_macro_attribute]
pub fn operator(attr: TokenStream, item: TokenStream) -> TokenStream {
    operator::operator(attr.into(), item.into()).into()
}

#[allow(
    missing_docs,
    reason = "`stream_core`, which exports it, has the documentation"
)]
#[proc_macro_derive(Outputs, attributes(outputs))]
pub fn outputs(item: TokenStream) -> TokenStream {
    outputs::outputs(item.into()).into()
}

fn pipeline_tokens(
    attr: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let function = match syn::parse2::<syn::ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let mut errors = Errors::default();
            errors.push(error);
            let errors = errors.into_tokens();
            return quote::quote!(#errors #item);
        }
    };
    let variants = conditions::variants(function).into_iter();
    let variants = variants.map(|(condition, function)| {
        let code = one_pipeline(attr.clone(), function);
        conditions::on(condition, code)
    });
    variants.collect()
}

/// Writes a pipeline that no condition is left in.
fn one_pipeline(attr: proc_macro2::TokenStream, function: syn::ItemFn) -> proc_macro2::TokenStream {
    let mut errors = Errors::default();
    let definition = parse::parse(attr, function, &mut errors);
    let model = Model::new(definition);
    check::language(&model, &mut errors);
    let understood = errors.is_empty();
    check::rules(&model, &mut errors);
    expand::expand(&model, understood, errors)
}

#[cfg(test)]
mod tests;
