//! How do images come to the Engine: loaded from archives, pulled, built?

pub mod archive;
mod ask;
mod build;
pub mod context;
pub mod dockerfile;
mod grpc;
pub mod ignore;
mod lines;
mod load;
mod pull;
mod session;
pub(crate) mod unpack;

pub(crate) use pull::Pull;
