//! Models as text, and mistakes as text.
