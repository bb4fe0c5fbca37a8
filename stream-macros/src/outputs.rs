//! `#[derive(Outputs)]`: an enum of which each variant is an output.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, Path, Variant};

use crate::errors::Errors;
use crate::signature;

const REMEDY: &str =
    "let each variant hold one value: `enum Routed { Known(Order), Unknown(Order) }`";

/// Writes the implementation, or what is wrong with the type.
pub(crate) fn outputs(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let variants = variants(&input, &mut errors);
    let said = input
        .attrs
        .iter()
        .find(|attr| attr.path().is_ident("outputs"));
    let said = said.and_then(|attr| attr.meta.require_list().ok());
    let said = said.map_or_else(TokenStream::new, |list| list.tokens.clone());
    let library = signature::library("outputs", said, &mut errors);
    match errors.is_empty() {
        true => implementation(&input, &variants, &library),
        false => errors.into_tokens(),
    }
}

fn variants<'i>(input: &'i DeriveInput, errors: &mut Errors) -> Vec<&'i Variant> {
    let Data::Enum(data) = &input.data else {
        errors.add(
            &input.ident,
            "the outputs of an operator are the variants of an enum",
            REMEDY,
        );
        return Vec::new();
    };
    if data.variants.is_empty() {
        errors.add(
            &input.ident,
            "an enum without variants has no outputs",
            REMEDY,
        );
    }
    for variant in &data.variants {
        if !matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1) {
            errors.add(
                variant,
                "an output is a variant that holds one value",
                REMEDY,
            );
        }
    }
    data.variants.iter().collect()
}

fn implementation(input: &DeriveInput, variants: &[&Variant], library: &Path) -> TokenStream {
    let name = &input.ident;
    let (of_impl, types, bounds) = input.generics.split_for_impl();
    let bounds = bounds.map(|bounds| bounds.predicates.iter());
    let bounds = bounds.into_iter().flatten();
    let names: Vec<_> = variants.iter().map(|variant| &variant.ident).collect();
    let records: Vec<_> = variants
        .iter()
        .flat_map(|variant| variant.fields.iter().map(|field| &field.ty))
        .collect();
    let parts: Vec<_> = (0..variants.len())
        .map(|n| format_ident!("part_{n}"))
        .collect();
    let (numbers, count) = (0..variants.len(), variants.len());
    let numbers: Vec<_> = numbers.collect();
    let library = quote!(#library::__private);
    quote! {
        #[automatically_derived]
        impl #of_impl #library::Outputs for #name #types
        where
            Self: 'static,
            #(#bounds,)*
        {
            type Streams<StreamKind: #library::Kind> = (#(#library::Stream<#records, StreamKind>,)*);

            fn divide<StreamKind: #library::Kind>(
                stream: #library::Stream<Self, StreamKind>,
            ) -> Self::Streams<StreamKind> {
                let divided = #library::Divided::of("outputs", stream, #count, |records, to| {
                    #(let mut #parts = ::std::vec::Vec::new();)*
                    for (stamp, record) in records {
                        match record {
                            #(Self::#names(record) => #parts.push((stamp, record)),)*
                        }
                    }
                    #(to.put(#numbers, #parts);)*
                });
                (#(divided.output(#numbers),)*)
            }
        }
    }
}
