//! Background Fetch as pure state machines. Under construction.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod attempt;
pub mod connectivity;
pub mod delivery;
pub mod header_list;
pub mod ids;
pub mod request;
pub mod response;
pub mod store_op;
pub mod time;
