//! Tests of the model in a simulated world.

#[cfg(test)]
mod world;

#[cfg(test)]
mod delivery;
#[cfg(test)]
mod display;
#[cfg(test)]
mod fetch_call;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod grants_and_totals;
#[cfg(test)]
mod heads;
mod held_records;
#[cfg(test)]
mod integrity;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod local_network;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod misbehaviour;
#[cfg(test)]
mod pauses;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod retry;
mod running_time;
#[cfg(test)]
mod settling;
#[cfg(test)]
mod site;
mod site_account;
#[cfg(test)]
mod slots;
#[cfg(test)]
mod splices;
#[cfg(test)]
mod unregister;
