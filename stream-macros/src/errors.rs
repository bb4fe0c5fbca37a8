//! The mistakes of one function, gathered so that all are told at once.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Mistakes, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    /// Notes a mistake on the user's own tokens: what is wrong, and what to do about it.
    pub(crate) fn add(&mut self, at: impl ToTokens, what: impl AsRef<str>, help: impl AsRef<str>) {
        let text = format!("{}\nhelp: {}", what.as_ref(), help.as_ref());
        self.0.push(syn::Error::new_spanned(at, text));
    }

    /// Notes a mistake that another parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One `compile_error!` a mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let each = self.0.into_iter().map(syn::Error::into_compile_error);
        each.collect()
    }

    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}
