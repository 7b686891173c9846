//! What does the Engine's JSON say about a container, a network, a volume, an image?
//!
//! Lenient: what is missing or of another shape is taken as not said, so that one odd object never hides the others.

mod containers;
mod images;
mod json;
mod labels;
mod limits;
mod mounts;
mod networks;
mod process;
mod volumes;

pub use containers::container;
pub use images::image;
pub use json::time;
pub use networks::network_summary;
pub use volumes::volume_summary;
