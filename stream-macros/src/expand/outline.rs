//! `GRAPH`: what is known of a pipeline before types are, as a constant.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs::spelled;
use crate::model::Model;

/// Writes the value of `GRAPH`.
pub(super) fn outline(model: &Model) -> TokenStream {
    let name = &model.definition.name;
    let inputs = model.inputs().map(|(parameter, record)| {
        let port = parameter.ident.to_string();
        let id = format!("{name}/{port}");
        let stream = format!("Stream<{}>", spelled(record));
        quote!(::stream_core::__private::OutlinePort { name: #port, id: #id, stream: #stream })
    });
    let settings = model.settings().map(|(parameter, default)| {
        let (name, ty) = (parameter.ident.to_string(), spelled(&parameter.ty));
        let required = default.is_none();
        quote!(::stream_core::__private::OutlineSetting {
            name: #name, of: #ty, required: #required
        })
    });
    let stages = model.stages.iter().map(|stage| {
        let (id, binding, method) = (&stage.id, &stage.binding, &stage.method);
        let reads = &stage.reads;
        quote!(::stream_core::__private::OutlineStage {
            id: #id, binding: #binding, method: #method, reads: &[#(#reads),*]
        })
    });
    let outputs = model.outputs.iter().map(|output| {
        let (port, id) = (&output.name, &output.reads);
        let stream = output.ty.as_ref().map(spelled).unwrap_or_default();
        quote!(::stream_core::__private::OutlinePort { name: #port, id: #id, stream: #stream })
    });
    quote! {
        ::stream_core::__private::Outline {
            name: #name,
            inputs: &[#(#inputs),*],
            settings: &[#(#settings),*],
            stages: &[#(#stages),*],
            outputs: &[#(#outputs),*],
        }
    }
}
