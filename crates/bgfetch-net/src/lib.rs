//! Under construction.

pub mod connectivity;
pub mod scheduler;
