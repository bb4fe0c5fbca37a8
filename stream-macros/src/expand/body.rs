//! The function's body: the user's chains, with clones, fused chains and names.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;
use syn::token::Paren;

use super::{at, own};
use crate::model::{Model, end_name, output_name};
use crate::names::text;
use crate::parse::{Arg, Bind, Call, Chain, Head, Read, Role, Statement};

/// Writes the body.
pub(super) fn block(model: &Model) -> TokenStream {
    let definition = &model.definition;
    let scope = own("scope");
    let name = &definition.name;
    let is_stream = |p: &&crate::parse::Parameter| !matches!(p.role, Role::Setting(_));
    let first = definition.parameters.iter().find(is_stream);
    let library = &definition.library;
    let enter = first.map(|first| {
        let first = &first.ident;
        quote!(let #scope = #library::__private::Scope::enter(&#first, #name);)
    });
    let statements = definition.body.statements.iter();
    let statements = statements.map(|statement| model.statement(statement));
    let result = model.result();
    quote!({ #enter #(#statements)* #result })
}

fn binding(name: &str) -> TokenStream {
    let scope = own("scope");
    quote!(#scope.binding(#name);)
}

fn renamed_binding(name: &str, was: &syn::LitStr) -> TokenStream {
    let scope = own("scope");
    quote!(#scope.renamed_binding(#name, #was);)
}

impl Model {
    fn statement(&self, statement: &Statement) -> TokenStream {
        match statement {
            Statement::Plain(stmt, _) => stmt.to_token_stream(),
            Statement::Bind(bind) => {
                let Bind {
                    attrs,
                    pat,
                    names,
                    was,
                    chain,
                } = &**bind;
                let name = names.first().map(text).unwrap_or_default();
                let said = match was {
                    Some(was) => renamed_binding(&name, was),
                    None => binding(&name),
                };
                let (look, chain) = (self.look_at(chain), self.chain_tokens(chain));
                quote!(#look #said #(#attrs)* let #pat = #chain;)
            }
            Statement::End(chain) => {
                let said = binding(&end_name(chain));
                let (look, chain) = (self.look_at(chain), self.chain_tokens(chain));
                quote!(#look #said #chain;)
            }
        }
    }

    /// Looks whether a name that the function does not bind is a stream.
    fn look_at(&self, chain: &Chain) -> Option<TokenStream> {
        let Head::Read(Read { ident, .. }) = &chain.head else {
            return None;
        };
        let (body, library) = (&self.definition.body, &self.definition.library);
        let is_unknown = body.unknown.iter().any(|unknown| unknown == ident);
        let span = ident.span();
        is_unknown.then(|| quote_spanned!(span=> #library::__private::Scope::reads(&#ident);))
    }

    /// The last expression. A chain is bound first, so that a wrong type is told of its last method.
    fn result(&self) -> TokenStream {
        let returned = &self.definition.body.returned;
        let is_name = |chain: &Chain| matches!(chain.head, Head::Read(_)) && chain.calls.is_empty();
        if let [chain] = &returned[..]
            && !is_name(chain)
        {
            let said = binding(&output_name(chain));
            let span = match (chain.calls.last(), &chain.head) {
                (Some(call), _) => call.method.span(),
                (None, Head::Function { function, .. }) => function.span(),
                _ => self.definition.ident.span(),
            };
            let chain = self.chain_tokens(chain);
            // At the user's own place, or the message would tell of the attribute, too.
            let output = Ident::new("output__", span);
            return quote!(#said let #output = #chain; #output);
        }
        let outputs = returned.iter().map(|chain| self.chain_tokens(chain));
        match &self.definition.body.result {
            Some(Expr::Tuple(tuple)) => {
                let mut tokens = TokenStream::new();
                tuple.paren_token.surround(&mut tokens, |inside| {
                    inside.extend(quote!(#(#outputs),*));
                    if returned.len() == 1 {
                        inside.extend(quote!(,));
                    }
                });
                tokens
            }
            _ => quote!(#(#outputs)*),
        }
    }

    fn chain_tokens(&self, chain: &Chain) -> TokenStream {
        let head = match &chain.head {
            Head::Read(read) => self.stream(read),
            Head::Function {
                function,
                paren,
                args,
                ..
            } => {
                let args = self.args_tokens(paren, args);
                quote!(#function #args)
            }
            Head::Plain(expr, _) => expr.to_token_stream(),
            Head::Broken(_) => quote!(::core::unreachable!()),
        };
        let calls = chain.calls.iter();
        calls.fold(head, |receiver, call| self.call(receiver, call))
    }

    /// Reads a stream: itself, or a clone when it is read again.
    fn stream(&self, read: &Read) -> TokenStream {
        let ident = &read.ident;
        if !self.again.contains(&read.place) {
            return ident.to_token_stream();
        }
        quote_spanned!(ident.span()=> #ident.again())
    }

    /// Arguments in the user's own parentheses.
    fn args_tokens(&self, paren: &Paren, args: &[Arg]) -> TokenStream {
        let mut tokens = TokenStream::new();
        let args = args.iter().map(|arg| self.arg(arg));
        paren.surround(&mut tokens, |inside| inside.extend(quote!(#(#args),*)));
        tokens
    }

    fn call(&self, receiver: TokenStream, call: &Call) -> TokenStream {
        let Call {
            dot,
            method,
            turbofish,
            args,
            place,
        } = call;
        let opens = self.fusion.opens.contains(place);
        let ends = self.fusion.ends.contains(place);
        let span = method.span();
        let open = opens.then(|| quote_spanned!(span=> .chain()));
        // What is wrong with a step is told where it stands.
        let last = call.args().last();
        let last = last.map_or(span, |last| match last {
            Arg::Value(expr, _) => expr.span(),
            Arg::Stream(_) => span,
        });
        let end = ends.then(|| quote_spanned!(last=> .end()));
        match args {
            Some((paren, args)) => {
                let args = self.args_tokens(paren, args);
                quote!(#receiver #open #dot #method #turbofish #args #end)
            }
            None => quote!(#receiver #dot #method),
        }
    }

    /// An argument. Settings and plain values are moved into it, or clones of them when they are read
    /// again.
    fn arg(&self, arg: &Arg) -> TokenStream {
        let (expr, reads) = match arg {
            Arg::Stream(chain) => return self.chain_tokens(chain),
            Arg::Value(expr, reads) => (expr, reads),
        };
        let mut expr = (**expr).clone();
        if let (Expr::Closure(closure), false) = (&mut expr, reads.is_empty()) {
            let span = closure.inputs_begin.span();
            closure.capture.get_or_insert(syn::Token![move](span));
        }
        let cloned = reads.iter().filter(|read| self.again.contains(&read.place));
        let cloned: Vec<_> = cloned.collect();
        if cloned.is_empty() {
            return expr.to_token_stream();
        }
        if let (Expr::Path(_), [read]) = (&expr, &cloned[..]) {
            let name = &read.ident;
            return quote_spanned!(at(name.span())=> ::core::clone::Clone::clone(&#name));
        }
        let clones = cloned.iter().map(|read| {
            let (name, span) = (&read.ident, at(read.ident.span()));
            // What is perhaps not read is read here, so that no lint tells of it.
            let read = read.is_perhaps.then(|| quote!(let _ = &#name;));
            quote_spanned!(span=> let #name = ::core::clone::Clone::clone(&#name); #read)
        });
        quote!({ #(#clones)* #expr })
    }
}
