//! `GRAPH`: what is known of a pipeline before types are, as a constant.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::ports::private;
use super::spelled::spelled;
use crate::model::{Kind, Model, Port};

/// Writes the value of `GRAPH`.
pub(super) fn outline(model: &Model) -> TokenStream {
    let name = &model.definition.name;
    let private = private();
    let port = |port: &Port| {
        let (name, id, ty) = (&port.name, &port.id, spelled(&port.ty.to_token_stream()));
        let stream = match port.kind {
            Kind::Input => format!("Stream<{ty}>"),
            Kind::Setting | Kind::Output => ty,
        };
        quote!(port(#name, #id, #stream))
    };
    let inputs = model.each(Kind::Input).map(port);
    let outputs = model.each(Kind::Output).map(port);
    let settings = model.each(Kind::Setting).map(|setting| {
        let (name, ty) = (&setting.name, spelled(&setting.ty.to_token_stream()));
        let default = match &setting.default {
            Some(value) => {
                let value = spelled(value);
                quote!(::core::option::Option::Some(#value))
            }
            None => quote!(::core::option::Option::None),
        };
        quote!(setting(#name, #ty, #default))
    });
    let stages = model.stages.iter().map(|stage| {
        let (id, binding, method) = (&stage.id, &stage.binding, &stage.method);
        let reads = &stage.reads;
        quote!(stage(#id, #binding, #method, &[#(#reads),*]))
    });
    quote! {{
        use #private::outline::*;
        Outline {
            name: #name,
            inputs: &[#(#inputs),*],
            settings: &[#(#settings),*],
            stages: &[#(#stages),*],
            outputs: &[#(#outputs),*],
        }
    }}
}
