//! How do images come to the Engine: loaded from archives, pulled, built?

pub mod archive;
mod lines;
mod load;
mod pull;

pub(crate) use pull::Pull;
