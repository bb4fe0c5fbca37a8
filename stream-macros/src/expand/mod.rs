//! From a model to code: the function, and in the type namespace a struct of the same name that
//! makes jobs of it.
//!
//! The code is the fluent API, in the user's own order, with a line before each binding that says
//! its name. Whatever the compiler may blame carries the user's span; names of our own are hygienic.

mod body;
mod docs;
mod job;
mod outline;
mod ports;
mod settings;
mod test;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::errors::Errors;
use crate::model::Model;
use crate::parse::Role;

/// Writes a pipeline. With mistakes, what is written is well typed as far as the function was
/// `understood`, and says the mistakes.
pub(crate) fn expand(model: &Model, understood: bool, errors: Errors) -> TokenStream {
    let is_right = errors.is_empty();
    let understood = understood && model.outputs.len() == model.definition.returns.len();
    let errors = errors.into_tokens();
    let function = function(model, understood, is_right);
    let is_free = model.definition.receiver.is_none();
    let object = is_free.then(|| object(model, understood, is_right));
    quote!(#function #object #errors)
}

/// A name of our own that no name of the user can meet.
fn own(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The place of a token of the user, for tokens of our own.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

fn function(model: &Model, understood: bool, is_right: bool) -> TokenStream {
    let definition = &model.definition;
    let (attrs, vis, ident) = (&definition.attrs, &definition.vis, &definition.ident);
    let (params, bounds) = (
        &definition.generics.params,
        &definition.generics.where_clause,
    );
    let generics = (!params.is_empty()).then(|| quote!(<#params>));
    let output = &definition.output;
    let parameters = definition.parameters.iter().map(|parameter| {
        let (attrs, ident, ty) = (&parameter.attrs, &parameter.ident, &parameter.ty);
        quote!(#(#attrs)* #ident: #ty)
    });
    let receiver = definition
        .receiver
        .as_ref()
        .map(|receiver| quote!(#receiver,));
    let picture = docs::picture(model);
    let block = if understood {
        body::block(model)
    } else {
        quote!({ ::core::unreachable!() })
    };
    let quiet = (!is_right).then(|| quote!(#[allow(unused, clippy::diverging_sub_expression)]));
    quote! {
        #(#attrs)*
        #(#[doc = #picture])*
        #quiet
        #vis fn #ident #generics (#receiver #(#parameters),*) -> #output #bounds #block
    }
}

/// The struct that stands for the pipeline.
fn object(model: &Model, understood: bool, is_right: bool) -> TokenStream {
    let definition = &model.definition;
    let (vis, ident) = (&definition.vis, &definition.ident);
    let about = docs::object(model);
    let outline = outline::outline(model);
    let has_ports = model.inputs().next().is_some() && !definition.returns.is_empty();
    let runs_alone = has_ports && model.runs_alone() && has_simple_types(model);
    let (job, items) = if runs_alone {
        job::job(model, is_right)
    } else if has_ports && !model.runs_alone() {
        job::no_job()
    } else {
        Default::default()
    };
    let outline = understood.then(|| {
        quote! {
            /// The stages and ports of the pipeline, as far as they are known before types are.
            pub const GRAPH: ::stream_core::__private::Outline = #outline;
        }
    });
    quote! {
        #(#[doc = #about])*
        #[allow(non_camel_case_types, dead_code)]
        #vis struct #ident {}

        #[allow(dead_code, missing_docs, non_local_definitions, unreachable_pub)]
        #[allow(clippy::all, clippy::pedantic)]
        const _: () = {
            impl #ident {
                #outline
                #job
            }
            #items
        };
    }
}

/// Whether the types of the ports can stand outside of the function's signature.
fn has_simple_types(model: &Model) -> bool {
    let generics = &model.definition.generics;
    let types_only = generics
        .params
        .iter()
        .all(|p| matches!(p, syn::GenericParam::Type(_)));
    let parameters = model.definition.parameters.iter();
    let simple = |ty: &syn::Type| {
        let text = quote!(#ty).to_string();
        !text.contains("impl ") && !text.contains("& ") || text.contains("& 'static")
    };
    types_only
        && parameters
            .filter(|p| !matches!(p.role, Role::Handle))
            .all(|p| simple(&p.ty))
        && model.definition.returns.iter().all(simple)
}
