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
mod spelled;
mod test;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use crate::errors::Errors;
use crate::model::{Kind, Model};
use crate::parse::Role;
use crate::signature;

/// Writes a pipeline. With mistakes, what is written is well typed as far as the function was
/// `understood`, and says the mistakes.
pub(crate) fn expand(model: &Model, understood: bool, errors: Errors) -> TokenStream {
    let definition = &model.definition;
    let is_right = errors.is_empty();
    let outputs = model.each(Kind::Output).count();
    let is_unwritten = definition.body.is_unwritten;
    let understood = understood && (is_unwritten || outputs == definition.returns.len());
    let errors = errors.into_tokens();
    let function = function(model, understood, is_right);
    let is_free = definition.receiver.is_none();
    let object = is_free.then(|| object(model, is_right));
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
        let is_setting = matches!(parameter.role, Role::Setting(_));
        let mutability = parameter.mutability.filter(|_| is_setting);
        quote!(#(#attrs)* #mutability #ident: #ty)
    });
    let receiver = definition
        .receiver
        .as_ref()
        .map(|receiver| quote!(#receiver,));
    let picture = docs::picture(model);
    let block = match understood {
        _ if definition.body.is_unwritten || is_editor() => as_it_stands(&definition.block),
        true => body::block(model),
        false => quote!({ ::core::unreachable!() }),
    };
    let quiet = (!is_right).then(|| quote!(#[allow(unused, clippy::diverging_sub_expression)]));
    quote! {
        #(#attrs)*
        #(#[doc = #picture])*
        #quiet
        #vis fn #ident #generics (#receiver #(#parameters),*) -> #output #bounds #block
    }
}

/// Whether it is an editor that expands the macro. It sees the function as it stands: the handles are
/// what the user takes them for, and a half-typed line is where the editor looks for it.
fn is_editor() -> bool {
    let program = std::env::current_exe();
    let name = program.as_ref().ok().and_then(|path| path.file_name());
    name.is_some_and(|name| name.to_string_lossy().starts_with("rust-analyzer"))
}

/// A body without the attributes that are ours.
fn as_it_stands(block: &syn::Block) -> TokenStream {
    let mut block = block.clone();
    for stmt in &mut block.stmts {
        if let syn::Stmt::Local(local) = stmt {
            local.attrs.retain(|attr| !attr.path().is_ident("was"));
        }
    }
    block.to_token_stream()
}

/// The struct that stands for the pipeline.
fn object(model: &Model, is_right: bool) -> TokenStream {
    let definition = &model.definition;
    let (vis, ident) = (&definition.vis, ports::object(model));
    let about = docs::object(model);
    let outline = outline::outline(model);
    let (private, library) = (ports::private(), &definition.library);
    let has_ports = model.each(Kind::Input).next().is_some() && !definition.returns.is_empty();
    let writer = (has_ports && model.runs_alone() && has_simple_types(model))
        .then(|| ports::Writer::new(model, is_right));
    let items = writer.map(|writer| {
        let parts = [
            writer.constructors(),
            writer.checks(),
            writer.traits(),
            writer.job(),
            writer.test(),
        ];
        parts.into_iter().collect::<TokenStream>()
    });
    let no_job = (has_ports && !model.runs_alone()).then(job::no_job);
    quote! {
        #(#[doc = #about])*
        #[allow(non_camel_case_types)]
        #vis struct #ident {}

        #[allow(non_camel_case_types, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            use #library::__private as #private;
            impl #ident {
                /// The stages and ports of the pipeline, as far as they are known before types are.
                pub const GRAPH: #private::Outline = #outline;
                #no_job
            }
            #items
        };
    }
}

/// Whether the types of the ports can stand outside of the function's signature.
fn has_simple_types(model: &Model) -> bool {
    let generics = &model.definition.generics;
    let is_type = |param: &syn::GenericParam| matches!(param, syn::GenericParam::Type(_));
    let types = model.ports.iter().filter_map(|port| port.ty.as_ref());
    let mut types = types.chain(&model.definition.returns);
    generics.params.iter().all(is_type) && types.all(signature::is_owned)
}
