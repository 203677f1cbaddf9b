//! The parts of [complete a record](crate::algorithms::complete_a_record) that stand on their own.

pub(crate) mod attempt_ended;
pub(crate) mod grants;
pub(crate) mod local_network;
pub(crate) mod pauses;
pub(crate) mod process_response;
pub mod retry;
pub(crate) mod verify_integrity;
