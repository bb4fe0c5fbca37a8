//! `#[cfg(…)]` on parameters.
//!
//! Whether a condition holds is not known here. So a function with conditions becomes one function
//! for each way in which they may hold, each under its own condition; the compiler keeps one.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, FnArg, Item, ItemFn};

/// The ways in which the conditions on a function's parameters may hold, each with what it says.
pub(crate) fn variants(function: ItemFn) -> Vec<(TokenStream, ItemFn)> {
    let conditional = |arg: &FnArg| attrs(arg).iter().any(is_condition);
    let Some(at) = function.sig.inputs.iter().position(conditional) else {
        return vec![(TokenStream::new(), function)];
    };
    let mut with = function.clone();
    let mut conditions = Vec::new();
    if let Some(arg) = with.sig.inputs.get_mut(at) {
        let attrs = attrs_mut(arg);
        conditions.extend(attrs.extract_if(.., |attr| is_condition(attr)));
    }
    let conditions = conditions.iter().filter_map(|condition| {
        let condition = condition.parse_args::<TokenStream>();
        condition.ok()
    });
    let holds = quote!(all(#(#conditions),*));
    let mut without = function;
    let inputs = without.sig.inputs.into_iter().enumerate();
    let others = inputs.filter(|(number, _)| *number != at);
    without.sig.inputs = others.map(|(_, arg)| arg).collect();
    let ways = [(holds.clone(), with), (quote!(not(#holds)), without)];
    let ways = ways.into_iter().flat_map(|(condition, function)| {
        let rest = variants(function).into_iter();
        rest.map(move |(other, function)| match other.is_empty() {
            true => (condition.clone(), function),
            false => (quote!(all(#condition, #other)), function),
        })
    });
    ways.collect()
}

/// Puts items under a condition, if there is one.
pub(crate) fn on(condition: TokenStream, items: TokenStream) -> TokenStream {
    if condition.is_empty() {
        return items;
    }
    let Ok(file) = syn::parse2::<syn::File>(items.clone()) else {
        return items;
    };
    let items = file
        .items
        .iter()
        .map(|item: &Item| quote!(#[cfg(#condition)] #item));
    quote!(#(#items)*)
}

fn is_condition(attr: &Attribute) -> bool {
    attr.path().is_ident("cfg")
}

fn attrs(arg: &FnArg) -> &[Attribute] {
    match arg {
        FnArg::Receiver(receiver) => &receiver.attrs,
        FnArg::Typed(typed) => &typed.attrs,
    }
}

fn attrs_mut(arg: &mut FnArg) -> &mut Vec<Attribute> {
    match arg {
        FnArg::Receiver(receiver) => &mut receiver.attrs,
        FnArg::Typed(typed) => &mut typed.attrs,
    }
}
