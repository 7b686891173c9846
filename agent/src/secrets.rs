//! How does what is encrypted reach containers, and nobody else?
//!
//! Who can open it ([`identities`], [`sops_program`]), how the loader reads it ([`decrypt`]), where plaintext lies
//! ([`placing`]) and until when ([`tidy`]), what a person may know of it ([`sealed`]), and what keeps it from being seen
//! ([`private`], [`quoting`]). The formats themselves are `specs::secrets`.

pub mod decrypt;
pub mod identities;
pub mod placing;
pub mod private;
pub mod quoting;
pub mod sealed;
pub mod sops_program;
pub mod tidy;
