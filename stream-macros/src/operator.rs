//! `#[operator]`: a function that makes an operator becomes a method of streams, too.
//!
//! Beside the function stands a trait of its name, which lives where types do, so that one `use` brings both:
//! the function to be called, and the method to be written in a chain. The method's name is the name of the
//! stage in the graph, in its id and in its picture.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, ItemFn, Pat, ReturnType, Type};

use crate::errors::Errors;
use crate::{names, parse, signature};

/// Writes the trait beside the function, or what is wrong with it.
pub(crate) fn operator(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let library = signature::library("operator", attr, &mut errors);
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let what = "`#[operator]` stands on a function that makes an operator";
            let help = "write `#[operator] fn alarm(limit: f64) -> Alarm { Alarm { limit } }`";
            errors.add(first_of(&item), what, help);
            let errors = errors.into_tokens();
            return quote!(#errors #item);
        }
    };
    let made = check(&function, &mut errors);
    let Some(made) = made.filter(|_| errors.is_empty()) else {
        let errors = errors.into_tokens();
        return quote!(#errors #function);
    };
    let method = method(&function, made, &library);
    quote!(#function #method)
}

/// The first token, to point at what is no function.
fn first_of(item: &TokenStream) -> TokenStream {
    item.clone().into_iter().take(1).collect()
}

/// Holds the function against the rules. Gives the type that it makes.
fn check<'f>(function: &'f ItemFn, errors: &mut Errors) -> Option<&'f Type> {
    let signature = &function.sig;
    let name = names::text(&signature.ident);
    if parse::OF_STREAMS.contains(&&*name) || parse::OF_HANDLES.contains(&&*name) {
        let what = format!("streams have a method `{name}` of their own");
        errors.add(&signature.ident, what, "give the function another name");
    }
    if let Some(asyncness) = &signature.asyncness {
        let what = "a function that makes an operator cannot be `async`";
        errors.add(
            asyncness,
            what,
            "it is called while the graph is built; make the operator at once",
        );
    }
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                let what = "`#[operator]` stands on a function outside of an `impl`";
                errors.add(
                    receiver,
                    what,
                    "move it out, and let it return the operator",
                );
            }
            FnArg::Typed(typed) if !matches!(&*typed.pat, Pat::Ident(_)) => {
                let what = "a parameter of an operator needs a name";
                errors.add(
                    &typed.pat,
                    what,
                    "give it one, and take it apart in the body",
                );
            }
            FnArg::Typed(_) => {}
        }
    }
    match &signature.output {
        ReturnType::Type(_, made) => match &**made {
            Type::ImplTrait(hidden) => {
                let what = "the type of an operator must be named";
                let help =
                    "write the name of the type that implements `KeyedOperator` or `Operator`";
                errors.add(hidden, what, help);
                None
            }
            made => Some(made),
        },
        ReturnType::Default => {
            let what = "this function makes no operator";
            let help = "let it return a type that implements `KeyedOperator` or `Operator`";
            errors.add(&signature.ident, what, help);
            None
        }
    }
}

fn method(function: &ItemFn, made: &Type, library: &syn::Path) -> TokenStream {
    let (vis, signature) = (&function.vis, &function.sig);
    let name = &signature.ident;
    let docs = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("doc"));
    let conditions: Vec<_> = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let parameters: Vec<_> = signature.inputs.iter().collect();
    let arguments = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pat) => Some(&pat.ident),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    });
    let (of_function, types, _) = signature.generics.split_for_impl();
    let bounds = signature.generics.where_clause.iter();
    let bounds = bounds.flat_map(|clause| clause.predicates.iter());
    let turbofish = types.as_turbofish();
    // Parameters are forwarded, so what is `mut` is so in the function alone.
    let parameters = parameters.into_iter().map(|parameter| match parameter {
        FnArg::Typed(typed) => {
            let (pat, ty) = (&typed.pat, &typed.ty);
            let ident = match &**pat {
                Pat::Ident(pat) => pat.ident.to_token_stream(),
                other => other.to_token_stream(),
            };
            quote!(#ident: #ty)
        }
        FnArg::Receiver(receiver) => receiver.to_token_stream(),
    });
    let text = names::text(name);
    quote! {
        #(#conditions)*
        #[allow(non_camel_case_types)]
        #[doc = concat!("Brings the method `", #text, "` to streams.")]
        #vis trait #name: ::core::marker::Sized {
            #(#docs)*
            fn #name #of_function (self, #(#parameters),*)
                -> <Self as #library::__private::Apply<#made>>::Output
            where
                Self: #library::__private::Apply<#made>,
                #(#bounds,)*
            {
                #library::__private::Apply::apply_as(self, #text, #name #turbofish (#(#arguments),*))
            }
        }

        #(#conditions)*
        impl<Q: 'static, T: 'static, K: #library::__private::Kind> #name
            for #library::__private::Keyed<Q, T, K> {}

        #(#conditions)*
        impl<T: 'static, K: #library::__private::Kind> #name
            for #library::__private::Stream<T, K> {}
    }
}
